// What every server here tells the program that measures it, in the words of bench/server.mjs.
export const KEY = process.env.PEER_KEY
export const unlimited = 1_000_000_000

export function say (port) {
  for (const event of ['disconnect', 'SIGTERM']) process.once(event, () => process.exit())
  process.on('message', what => {
    const { rss, heapUsed, external } = process.memoryUsage()
    if (what === 'memory') return process.send({ memory: { rss, used: heapUsed + external } })
    const { user, system } = process.cpuUsage()
    process.send({ cpu: user + system })
  })
  process.send({ port })
}

/** Who the bearer of the one right key is; anything else is refused by the peer's own middleware. */
export function verify (token) {
  if (token !== KEY) throw new Error('wrong token')
  return { token, clientId: 'bench', scopes: [], expiresAt: Math.floor(Date.now() / 1000) + 3600 }
}
