const METHODS: ReadonlySet<string> = new Set([
  'initialize', 'ping', 'server/discover', 'tools/list', 'tools/call', 'prompts/list', 'prompts/get', 'resources/list',
  'resources/read', 'resources/templates/list', 'resources/subscribe', 'resources/unsubscribe', 'completion/complete',
  'logging/setLevel', 'subscriptions/listen', 'notifications/initialized', 'notifications/cancelled'
])

/** A method's name for logs and metrics: a caller may write anything there, a secret too, so only known ones are repeated. */
export function knownMethod (method: string): string {
  return METHODS.has(method) ? method : 'other'
}
