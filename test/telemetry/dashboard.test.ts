/** What the dashboard and the alerts ask Prometheus for is what a running server tells, and the other way round. */
import t from 'tap'
import { ALERTS } from '../../scripts/alerts.ts'
import { DASHBOARD_EXPRESSIONS, dashboard } from '../../scripts/dashboard.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'

/** A registry that has seen one of everything. */
async function living (): Promise<Map<string, { type: string, labels: Set<string> }>> {
  const metrics = createMetrics({ process: true, version: '1', settings: 'a' })
  metrics.watch({
    health: () => 'ok', inFlight: () => 1, streams: () => 1, revocationsAgeMs: () => 1, audit: () => ({ records: 1, lost: 1, spoolBytes: 1, unsealedMs: 1, shipLagMs: 1, cuts: 1 }), issuers: () => [{ issuer: 'https://a', up: true, keysAgeMs: 1 }]
  })
  metrics.answered({ method: 'tools/call', auth: 'api_key', target: 'echo', decision: 'TOOL_FAILED', seconds: 1 })
  metrics.refused('TRANSPORT', 'HPE_INVALID')
  metrics.connectionClosed('room')
  metrics.degraded()
  metrics.upstreams.called('jira', 'served', 1)
  metrics.upstreams.restarted('jira')
  metrics.upstreams.up('jira', true)
  const seen = new Map<string, { type: string, labels: Set<string> }>()
  const text = await metrics.text()
  for (const [, name, type] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm)) seen.set(name!, { type: type!, labels: new Set(['le', 'instance']) })
  for (const [, name, labels] of text.matchAll(/^(\w+?)(?:_bucket|_sum|_count)?\{([^}]*)\}/gm)) {
    for (const [, label] of labels!.matchAll(/(\w+)="/g)) seen.get(name!)?.labels.add(label!)
  }
  return seen
}

const FUNCTIONS = new Set(['sum', 'max', 'min', 'count', 'rate', 'by', 'topk', 'histogram_quantile'])

/** Names of metrics in an expression, and the labels that it names. */
function named (expr: string): { metrics: string[], labels: string[] } {
  const plain = expr.replace(/"[^"]*"/g, '""')
  const labels = [...plain.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list]) => list!.split(',').map(label => label.trim()))
  const matched = [...plain.matchAll(/\{([^}]*)\}/g)].flatMap(([, list]) => [...list!.matchAll(/(\w+)\s*[=!]/g)].map(([, label]) => label!))
  const words = plain.replace(/\bby \([^)]*\)/g, '').replace(/\{[^}]*\}|\[[^\]]*\]/g, '').match(/[a-z_]\w*/g) ?? []
  return { metrics: words.filter(word => !FUNCTIONS.has(word)), labels: [...labels, ...matched] }
}

t.test('every metric and label of a panel or an alert exists', async t => {
  const seen = await living()
  const used = new Set<string>()
  for (const expr of [...DASHBOARD_EXPRESSIONS, ...ALERTS.map(({ expr }) => expr)]) {
    const { metrics, labels } = named(expr)
    t.ok(metrics.length > 0, expr)
    const found = metrics.map(name => seen.has(name) ? name : name.replace(/_(bucket|sum|count)$/, ''))
    for (const name of found) {
      t.ok(seen.has(name), `${name} in ${expr}`)
      used.add(name)
    }
    for (const label of labels) t.ok(found.some(name => seen.get(name)?.labels.has(label)), `${label} in ${expr}`)
    for (const name of found) if (/_total$|_bucket/.test(name)) t.match(expr, /rate\(/, `a counter is looked at by its rate: ${expr}`)
  }
  const ours = [...seen.keys()].filter(name => name.startsWith('mcp_'))
  t.same(ours.filter(name => !used.has(name)), [], 'every metric of this server is in a panel or an alert')
  t.comment(`figure: ${used.size} metrics in ${DASHBOARD_EXPRESSIONS.length} expressions of panels and ${ALERTS.length} alerts`)
})

t.test('panels stand beside each other, each with an id of its own', async t => {
  const { panels } = JSON.parse(dashboard()) as { panels: Array<{ id: number, gridPos: { x: number, y: number, w: number, h: number } }> }
  t.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
  for (const [i, { gridPos: a }] of panels.entries()) {
    for (const { gridPos: b } of panels.slice(i + 1)) {
      if (a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h) t.fail('two panels lie on each other')
    }
  }
})

t.test('a tool has a label only if it ran, and at most 500 have one', async t => {
  const metrics = createMetrics()
  for (let i = 0; i < 600; i++) metrics.answered({ method: 'tools/call', auth: 'api_key', target: `tool_${i}`, decision: 'served', seconds: 1 })
  for (const decision of ['ACCESS_DENIED', 'UNKNOWN_TOOL', 'RATE_LIMITED', 'INVALID_ARGUMENTS']) metrics.answered({ method: 'tools/call', auth: 'api_key', target: `invented_${decision}`, decision, seconds: 1 })
  metrics.answered({ method: 'tools/call', auth: 'api_key', target: 'tool_3', decision: 'TOOL_ERROR', seconds: 1 })
  const text = await metrics.text()
  t.notMatch(text, /invented_/)
  t.match(text, 'mcp_tool_duration_seconds_count{tool="tool_499"} 1')
  t.match(text, 'mcp_tool_duration_seconds_count{tool="other"} 100')
  t.match(text, 'mcp_tool_errors_total{tool="tool_3",class="TOOL_ERROR"} 1')
})
