import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { testTools } from 'secure-mcp-server/testing'

// Loads the folder as the server does, and calls as a client would: through permissions, limits and inspection.
const client = await testTools('tools', { permissions: ['get_*'] })
after(() => client.close())

test('an order is found by its number', async () => {
  const { structuredContent } = await client.call('get_order', { number: '7' })
  assert.deepEqual(structuredContent, { number: '7', state: 'shipped' })
})

test('an unknown order is an answer that the model can read', async () => {
  const { isError, text } = await client.call('get_order', { number: '8' })
  assert.equal(isError, true)
  assert.match(text, /no order 8/)
})

test('what is no number never reaches the tool', async () => {
  const { isError, text } = await client.call('get_order', { number: 'seven' })
  assert.equal(isError, true)
  assert.match(text, /number/)
})
