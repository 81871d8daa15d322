/** The dashboard for Grafana, as `npm run docs` writes it to k8s/components/dashboard. */

interface Panel {
  readonly title: string
  /** Legend → expression. */
  readonly of: Readonly<Record<string, string>>
  readonly unit?: 's' | 'reqps' | 'short' | 'bytes'
  readonly says: string
}

const QUANTILE = (
  q: number, metric: string, by: string
) => `histogram_quantile(${q}, sum by (le, ${by}) (rate(${metric}_bucket[5m])))`

/** Rows of panels, by the question that each row answers. */
const ROWS: Readonly<Record<string, readonly Panel[]>> = {
  'Is it well': [
    {
      title: 'State', of: { '{{condition}}': 'max by (condition) (mcp_state)' }, says: 'One of ok, unreachable, lost.'
    },
    {
      title: 'Versions',
      of: { '{{version}} on {{node}}': 'count by (version, node) (mcp_build_info)' },
      says: 'Two for long: a rollout hangs.'
    },
    {
      title: 'Settings',
      of: { '{{hash}}': 'count by (hash) (mcp_settings_info)' },
      says: 'Two for long: a replica was not rolled out.'
    },
    {
      title: 'Limits counted alone',
      of: { requests: 'sum(rate(mcp_ratelimit_degraded_total[5m]))' },
      unit: 'reqps',
      says: 'Redis is slow, full or away.'
    },
    {
      title: 'Age of the revocations',
      of: { '{{instance}}': 'mcp_revocations_age_seconds' },
      unit: 's',
      says: 'Over 10 s: revoked tokens may be served.'
    }
  ],
  'Who is refused': [
    {
      title: 'Answers',
      of: { '{{decision}}': 'sum by (decision) (rate(mcp_requests_total[5m]))' },
      unit: 'reqps',
      says: 'Served, and refused by reason.'
    },
    {
      title: 'By kind of credential',
      of: { '{{auth}}': 'sum by (auth) (rate(mcp_requests_total[5m]))' },
      unit: 'reqps',
      says: 'Unknown: nobody was identified.'
    },
    {
      title: 'Not HTTP',
      of: { '{{code}}': 'sum by (code) (rate(mcp_transport_refused_total[5m]))' },
      unit: 'reqps',
      says: 'Requests that the parser refused.'
    },
    {
      title: 'Connections closed',
      of: { '{{why}}': 'sum by (why) (rate(mcp_connections_closed_total[5m]))' },
      unit: 'reqps',
      says: 'To make room for others.'
    }
  ],
  'What is slow': [
    {
      title: 'Answers, p50 and p99',
      of: {
        'p50 {{method}}': QUANTILE(0.5, 'mcp_request_duration_seconds', 'method'),
        'p99 {{method}}': QUANTILE(0.99, 'mcp_request_duration_seconds', 'method')
      },
      unit: 's',
      says: 'From the head of a request to the end of its answer.'
    },
    {
      title: 'Tools, p99',
      of: { '{{tool}}': `topk(10, ${QUANTILE(0.99, 'mcp_tool_duration_seconds', 'tool')})` },
      unit: 's',
      says: 'The ten slowest.'
    },
    {
      title: 'Tools that fail',
      of: { '{{tool}} {{class}}': 'topk(10, sum by (tool, class) (rate(mcp_tool_errors_total[5m])))' },
      unit: 'reqps',
      says: 'By what went wrong.'
    },
    {
      title: 'Under way',
      of: { calls: 'sum(mcp_requests_in_flight)', streams: 'sum(mcp_streams)' },
      unit: 'short',
      says: 'MAX_IN_FLIGHT bounds the calls of each replica.'
    }
  ],
  'On whom it depends': [
    {
      title: 'Authorization servers',
      of: { '{{issuer}}': 'min by (issuer) (mcp_issuer_up)' },
      says: '0: it did not answer the last time.'
    },
    {
      title: 'Age of their keys',
      of: { '{{issuer}}': 'max by (issuer) (mcp_issuer_keys_age_seconds)' },
      unit: 's',
      says: 'Fetched every four minutes.'
    },
    { title: 'Upstreams', of: { '{{upstream}}': 'min by (upstream) (mcp_upstream_up)' }, says: '0: no connection.' },
    {
      title: 'Calls to upstreams',
      of: { '{{upstream}} {{class}}': 'sum by (upstream, class) (rate(mcp_upstream_calls_total[5m]))' },
      unit: 'reqps',
      says: 'By what came of them.'
    },
    {
      title: 'Upstreams, p99',
      of: { '{{upstream}}': QUANTILE(0.99, 'mcp_upstream_duration_seconds', 'upstream') },
      unit: 's',
      says: 'Waiting for a place included.'
    },
    {
      title: 'Upstreams connected anew',
      of: { '{{upstream}}': 'sum by (upstream) (rate(mcp_upstream_restarts_total[5m]))' },
      unit: 'reqps',
      says: 'After the first connection.'
    }
  ],
  'Is it on record': [
    {
      title: 'Records',
      of: {
        written: 'sum(rate(mcp_audit_records_total[5m]))',
        lost: 'sum(rate(mcp_audit_lost_total[5m]))',
        'left Redis early': 'sum(rate(mcp_audit_cuts_total[5m]))'
      },
      unit: 'reqps',
      says: 'Lost: nothing could be written, and memory was full, too.'
    },
    {
      title: 'Waiting for Redis',
      of: { '{{instance}}': 'mcp_audit_ship_lag_seconds' },
      unit: 's',
      says: 'Over a minute: Redis is away or takes nothing. The records wait in AUDIT_DIR.'
    },
    {
      title: 'Not sealed yet',
      of: { '{{instance}}': 'mcp_audit_sealed_seconds' },
      unit: 's',
      says: 'Over 10 s: the disk takes no more.'
    },
    {
      title: 'Room that records take',
      of: { '{{instance}}': 'mcp_audit_spool_bytes' },
      unit: 'bytes',
      says: 'AUDIT_MAX_BYTES bounds it.'
    }
  ],
  'The process': [
    { title: 'CPU', of: { '{{instance}}': 'rate(process_cpu_seconds_total[5m])' }, unit: 'short', says: 'Cores.' },
    { title: 'Memory', of: { '{{instance}}': 'process_resident_memory_bytes' }, unit: 'bytes', says: 'Resident.' },
    {
      title: 'Event loop, p99',
      of: { '{{instance}}': 'nodejs_eventloop_lag_p99_seconds' },
      unit: 's',
      says: 'Over 0.5 s for long: load is shed.'
    }
  ]
}

/** Expressions of all panels. */
export const DASHBOARD_EXPRESSIONS: readonly string[] = Object.values(
  ROWS
).flat().flatMap(({ of }) => Object.values(of))

const [WIDTH, HEIGHT, COLUMNS] = [6, 8, 4]

export function dashboard (): string {
  const panels: object[] = []
  let y = 0
  for (const [row, held] of Object.entries(ROWS)) {
    panels.push({ type: 'row', title: row, collapsed: false, gridPos: { x: 0, y, w: 24, h: 1 } })
    y++
    held.forEach((panel, i) => panels.push(drawn(panel, y + Math.floor(i / COLUMNS) * HEIGHT, i % COLUMNS)))
    y += Math.ceil(held.length / COLUMNS) * HEIGHT
  }
  return JSON.stringify({
    title: 'secure-mcp-server',
    uid: 'secure-mcp-server',
    schemaVersion: 39,
    refresh: '30s',
    time: { from: 'now-1h', to: 'now' },
    templating: { list: [{ name: 'datasource', type: 'datasource', query: 'prometheus' }] },
    panels: panels.map((panel, i) => ({ id: i + 1, ...panel }))
  }, null, 2) + '\n'
}

function drawn ({ title, of, unit = 'short', says }: Panel, y: number, column: number): object {
  const datasource = { type: 'prometheus', uid: '${datasource}' }
  return {
    type: 'timeseries',
    title,
    description: says,
    datasource,
    gridPos: { x: column * WIDTH, y, w: WIDTH, h: HEIGHT },
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    targets: Object.entries(
      of
    ).map(([legendFormat, expr], i) => ({ refId: String.fromCharCode(65 + i), datasource, expr, legendFormat }))
  }
}
