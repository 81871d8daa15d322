/** The alerts for the Prometheus operator, as `npm run docs` writes them to k8s/components/alerts and docs/operations.md. */

export interface Alert {
  readonly name: string
  readonly expr: string
  /** How long it must hold before anybody is told. */
  readonly for?: string
  readonly severity: 'page' | 'ticket'
  /** What it means and what to do. */
  readonly says: string
}

export const ALERTS: readonly Alert[] = [
  {
    name: 'StateLost',
    expr: 'max(mcp_state{condition="lost"}) == 1',
    severity: 'page',
    says: 'Everything is refused until someone acts: restore Redis, or `state accept-loss`.'
  },
  {
    name: 'RedisOutOfReach',
    expr: 'max(mcp_state{condition="unreachable"}) == 1',
    for: '1m',
    severity: 'page',
    says: 'Clients with keys get 503. Bring Redis back.'
  },
  {
    name: 'LimitsAreLocal',
    expr: 'sum(rate(mcp_ratelimit_degraded_total[5m])) > 0',
    for: '5m',
    severity: 'ticket',
    says: 'Redis is slow or full, so each replica counts alone.'
  },
  {
    name: 'RevocationsOld',
    expr: 'max(mcp_revocations_age_seconds) > 10',
    for: '1m',
    severity: 'page',
    says: 'A replica does not hear of revocations: revoked tokens may be served for 30 s, then all tokens are refused.'
  },
  {
    name: 'FailuresOfOurs',
    expr: 'sum(rate(mcp_requests_total{decision="INTERNAL"}[5m])) > 0',
    severity: 'ticket',
    says: 'A fault in the server or a prompt or resource: the log has the cause under the request id.'
  },
  {
    name: 'Shedding',
    expr: 'sum(rate(mcp_requests_total{decision="OVERLOADED"}[5m])) > 0',
    for: '5m',
    severity: 'page',
    says: 'More replicas, or a caller out of hand.'
  },
  {
    name: 'Guessing',
    expr: 'sum(rate(mcp_requests_total{decision=~"INVALID_CREDENTIAL|TOO_MANY_FAILURES"}[5m])) > 1',
    severity: 'ticket',
    says: 'Look at the addresses in the log.'
  },
  {
    name: 'ToolFails',
    expr: 'sum by (tool) (rate(mcp_tool_errors_total{class=~"TOOL_FAILED|UPSTREAM_.*"}[5m])) > 0',
    for: '5m',
    severity: 'ticket',
    says: 'The log lines `tool failed` under the same `reqId` name the cause.'
  },
  { name: 'TriesDoors', expr: 'sum(rate(mcp_requests_total{decision=~"ACCESS_DENIED|FORBIDDEN|SUSPICIOUS_ARGUMENT"}[5m])) > 1', severity: 'ticket', says: 'Look at `principal`, `target` and `rule` in the log; `why` says what would mend it.' },
  {
    name: 'IssuerDown',
    expr: 'max by (issuer) (mcp_issuer_up) == 0',
    for: '10m',
    severity: 'ticket',
    says: 'No replica gets an answer of the authorization server. Known keys are used for a day.'
  },
  {
    name: 'IssuerKeysOld',
    expr: 'max by (issuer) (mcp_issuer_keys_age_seconds) > 21600',
    severity: 'page',
    says: 'Signing keys are older than 6 h: they run out after OAUTH2_STALE_KEYS_MS.'
  },
  {
    name: 'UpstreamFileWrong',
    expr: 'sum(rate(mcp_upstream_config_errors_total[1h])) > 0',
    severity: 'ticket',
    says: 'MCP_SERVERS_FILE was changed and is wrong, so what was read before stays in force. The log names line and fault.'
  },
  {
    name: 'UpstreamDown',
    expr: 'max by (upstream) (mcp_upstream_up) == 0',
    for: '5m',
    severity: 'ticket',
    says: 'No replica has a connection to this MCP server: its tools answer UPSTREAM_UNREACHABLE.'
  },
  {
    name: 'AuditLost',
    expr: 'sum(rate(mcp_audit_lost_total[5m])) > 0',
    severity: 'page',
    says: 'Records are lost: make room on the disk of AUDIT_DIR, or raise AUDIT_MAX_BYTES. The log has them.'
  },
  {
    name: 'AuditNotSealed',
    expr: 'max(mcp_audit_sealed_seconds) > 60',
    severity: 'page',
    says: 'Nothing can be written to AUDIT_DIR: make room, or raise AUDIT_MAX_BYTES.'
  },
  {
    name: 'AuditSpoolHalfFull',
    expr: 'max(mcp_audit_spool_bytes) > 268435456',
    for: '15m',
    severity: 'ticket',
    says: 'Half of the AUDIT_MAX_BYTES of the manifests is taken: at it files go that Redis has. Take them away before, or shorten AUDIT_RETENTION_DAYS.'
  },
  {
    name: 'AuditLate',
    expr: 'max(mcp_audit_ship_lag_seconds) > 300',
    severity: 'ticket',
    says: 'Redis does not take the records of a replica; they wait in its AUDIT_DIR. `audit tail` does not show them.'
  },
  {
    name: 'AuditCut',
    expr: 'sum(rate(mcp_audit_cuts_total[5m])) > 0',
    for: '5m',
    severity: 'ticket',
    says: 'Redis is full, so the oldest records leave it early: raise its maxmemory.'
  },
  {
    name: 'TwoVersions',
    expr: 'count(count by (version) (mcp_build_info)) > 1',
    for: '15m',
    severity: 'ticket',
    says: 'A rollout hangs: `kubectl rollout status`.'
  },
  {
    name: 'TwoSettings',
    expr: 'count(count by (hash) (mcp_settings_info)) > 1',
    for: '15m',
    severity: 'ticket',
    says: 'A replica runs with other settings: roll out again.'
  }
]

/** A PrometheusRule. JSON texts are YAML texts, so quoting is theirs. */
export function prometheusRule (): string {
  const rules = ALERTS.map(({ name, expr, for: holds, severity, says }) => `        - alert: SecureMcp${name}
          expr: ${JSON.stringify(expr)}
${holds === undefined ? '' : `          for: ${holds}\n`}          labels: { severity: ${severity} }
          annotations: { summary: ${JSON.stringify(says)} }`)
  return `# Made by npm run docs from scripts/alerts.ts.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: secure-mcp-server
  labels:
    app.kubernetes.io/name: secure-mcp-server
spec:
  groups:
    - name: secure-mcp-server
      rules:
${rules.map(rule => rule.replace(/^ {2}/gm, '')).join('\n')}
`
}

/** The same for docs/operations.md. */
export function alertsTable (): string {
  const rows = ALERTS.map(({ name, expr, for: holds, severity, says }) =>
    `| \`SecureMcp${name}\` | \`${expr.replaceAll('|', '\\|')}\`${holds === undefined ? '' : ` for ${holds}`} | ${severity} | ${says} |`)
  return `| alert | expression | severity | what to do |\n|---|---|---|---|\n${rows.join('\n')}\n`
}
