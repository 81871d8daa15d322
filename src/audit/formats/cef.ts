/** A record in the Common Event Format, for collectors that read nothing newer. */
import type { Exported } from './ocsf.ts'

export function cef (record: Exported, chain: string, version: string): string {
  const { time, msg, principal, address, method, operation, target, decision, rule, status, reqId, n } = record
  const isServed = decision === 'served' || decision === undefined
  const head = [
    'CEF:0', 'secure-mcp-server', 'secure-mcp-server', version, String(decision ?? msg),
    String(method ?? operation ?? msg), isServed ? '3' : '6'
  ]
  const extension = {
    rt: Date.parse(time),
    externalId: `${chain}:${String(n)}`,
    act: msg,
    outcome: decision,
    suser: principal,
    src: address,
    request: target,
    reason: rule,
    cn1: status,
    cn1Label: status === undefined ? undefined : 'status',
    cs1: reqId,
    cs1Label: reqId === undefined ? undefined : 'requestId'
  }
  const pairs = Object.entries(extension).filter(([, value]) => value !== undefined && value !== '')
    .map(([name, value]) => `${name}=${String(value).replace(/[\\=]/g, '\\$&').replace(/\r?\n/g, '\\n')}`)
  return `${head.map(part => part.replace(/[\\|]/g, '\\$&').replace(/\r?\n/g, ' ')).join('|')}|${pairs.join(' ')}`
}
