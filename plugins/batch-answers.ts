import fp from 'fastify-plugin'

/**
 * Text that came and is answered in one turn of the event loop is written at
 * its end, together with what else was: docs/decisions/0043-answers-of-one-turn.md.
 */
export default fp(async function batchAnswers (app) {
  let turn = 0
  let turning = false
  const nextTurn = () => {
    turn++
    turning = false
  }

  app.addHook('onRequest', function noteTurn ({ secureMcp }, _reply, done) {
    secureMcp.turn = turn
    if (!turning) {
      turning = true
      setImmediate(nextTurn)
    }
    done()
  })

  app.addHook('onSend', function waitForTurn ({ secureMcp }, _reply, payload, done) {
    if (typeof payload === 'string' && secureMcp.turn === turn) setImmediate(done, null, payload)
    else done(null, payload)
  })
}, { name: 'secure-mcp/batch-answers', fastify: '5.x', dependencies: ['secure-mcp/request-context'] })
