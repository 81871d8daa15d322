/** A record as OCSF 1.3 has it: class 6003, API Activity. */
export interface Exported extends Readonly<Record<string, unknown>> {
  readonly n?: number
  readonly time: string
  readonly msg: string
}

export function ocsf (record: Exported, chain: string): object {
  const { time, msg, principal, address, method, operation, target, decision, status, n, ms, ...unmapped } = record
  const isServed = decision === 'served'
  return {
    class_uid: 6003,
    category_uid: 6,
    activity_id: 99,
    activity_name: msg,
    type_uid: 600_399,
    time: Date.parse(time),
    severity_id: isServed ? 1 : 2,
    status_id: isServed ? 1 : 2,
    status: isServed ? 'Success' : 'Failure',
    status_detail: decision,
    ...(status === undefined ? {} : { status_code: String(status) }),
    ...(ms === undefined ? {} : { duration: Math.round(Number(ms)) }),
    actor: { user: { uid: principal ?? 'unknown' } },
    api: { operation: method ?? operation ?? msg },
    ...(address === undefined ? {} : { src_endpoint: { ip: address } }),
    ...(target === undefined ? {} : { resources: [{ name: target }] }),
    metadata: { version: '1.3.0', uid: `${chain}:${String(n)}`, product: { name: 'secure-mcp-server' } },
    unmapped
  }
}
