// Tools that hurt, for the replicas of the chaos suite only.
const tool = (name, properties, run) => ({
  kind: 'tool',
  tool: { name, description: 'For the chaos suite.', input: { type: 'object', properties, additionalProperties: false }, run }
})

export default [
  tool('wait', { ms: { type: 'integer' } }, async ({ ms }) => {
    await new Promise(resolve => setTimeout(resolve, ms))
    return 'waited'
  }),
  tool('block', { ms: { type: 'integer' } }, ({ ms }) => {
    const end = performance.now() + ms
    while (performance.now() < end);
    return 'blocked'
  }),
  tool('memory', {}, () => {
    globalThis.gc?.()
    return String(process.memoryUsage().rss)
  }),
  tool('chatter', { ms: { type: 'integer' } }, async ({ ms }, context) => {
    const end = performance.now() + ms
    const text = 'x'.repeat(4096)
    for (let i = 1; performance.now() < end && !context.signal.aborted; i++) {
      for (let j = 0; j < 8; j++) context.progress(i * 8 + j, undefined, text)
      await new Promise(resolve => setTimeout(resolve, 10))
    }
    return 'told'
  })
]
