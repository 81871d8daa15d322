// An MCP server with one tool, echo, that does as little as can be: lines with `stdio`, JSON answers at the port with `http`.
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'

const TOOL = { name: 'echo', description: 'Return the text that was sent.', inputSchema: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] } }
const RESULTS = {
  initialize: () => ({ protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'bench', version: '1' } }),
  'tools/list': () => ({ tools: [TOOL] }),
  'tools/call': ({ arguments: { text } }) => ({ content: [{ type: 'text', text }] }),
  ping: () => ({})
}

function answer (line) {
  const { id, method, params } = JSON.parse(line)
  if (id === undefined) return undefined
  const reply = RESULTS[method]
  return JSON.stringify(reply === undefined ? { jsonrpc: '2.0', id, error: { code: -32601, message: 'Method not found' } } : { jsonrpc: '2.0', id, result: reply(params) })
}

const [, , kind, port] = process.argv
if (kind === 'stdio') {
  createInterface({ input: process.stdin }).on('line', line => {
    const text = answer(line)
    if (text !== undefined) process.stdout.write(text + '\n')
  }).once('close', () => process.exit())
} else {
  createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', part => { body += part }).once('end', () => {
      const text = request.method === 'POST' ? answer(body) : undefined
      if (request.method !== 'POST') response.writeHead(405).end()
      else if (text === undefined) response.writeHead(202).end()
      else response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }).end(text)
    })
  }).listen(Number(port), '127.0.0.1', () => process.send?.({ port: Number(port) }))
  process.once('disconnect', () => process.exit())
}
