/** The chart, rendered by Helm itself, says what k8s/ says and is held to the same types and policies. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseAllDocuments } from 'yaml'
import { Objects, POLICIES } from '../k8s/policies.ts'
import { base, schemaFindings, typeFindings, type Manifest } from '../k8s/rendered.ts'
import { CHART, helm, renderChart } from '../support/helm.ts'

const NAMESPACE = 'secure-mcp-production'
/** What the operator makes before the install, as docs/operations.md says: Helm makes no namespace with labels. */
const namespace = (name: string): Manifest => {
  const object = structuredClone(base().find(({ kind }) => kind === 'Namespace')!)
  Object.assign(object.metadata, { name, labels: { ...object.metadata.labels, 'app.kubernetes.io/part-of': 'secure-mcp-server', 'app.kubernetes.io/managed-by': 'kubectl' } })
  return object
}
const objectsOf = (yaml: string) => parseAllDocuments(yaml).map(document => document.toJS() as Manifest | null).filter(object => object !== null)
/** The objects, in the namespace that an install puts them into. */
function rendered (files: string[] = [], set: string[] = []): Manifest[] {
  const objects = objectsOf(renderChart(NAMESPACE, files, set))
  for (const { metadata } of objects) metadata.namespace = NAMESPACE
  return [namespace(NAMESPACE), ...objects]
}
const refusal = (...set: string[]): string => {
  try {
    renderChart(NAMESPACE, [], set)
    return 'rendered'
  } catch (error) {
    return (error as { stderr: string }).stderr
  }
}

t.test('rendered with defaults, it is k8s/base but for what Helm does in its own way', async t => {
  const OWN_LABELS = /^(helm\.sh\/chart|app\.kubernetes\.io\/(part-of|managed-by|instance|version))$/
  const alike = (objects: Manifest[]) => Object.fromEntries(objects.filter(({ kind }) => kind !== 'Namespace').map(object => {
    const { metadata, ...rest } = structuredClone(object)
    const labels = Object.fromEntries(Object.entries(metadata.labels ?? {}).filter(([name]) => !OWN_LABELS.test(name)))
    if (object.kind === 'Deployment') rest.spec.template.spec.containers[0].image = 'the image'
    // The end of the name is a digest, which each makes in its own way.
    return [`${object.kind} ${metadata.name}`, { ...rest, labels }] as const
  }).map(([name, object]) => [name, JSON.parse(JSON.stringify(object).replaceAll(/(secure-mcp-server-settings)-[a-z0-9]{10}/g, '$1'))] as const)
    .map(([name, object]) => [name.replace(/(settings)-[a-z0-9]{10}$/, '$1'), object] as const).sort(([a], [b]) => a < b ? -1 : 1))
  const [ours, theirs] = [alike(objectsOf(renderChart(NAMESPACE))), alike(base())]
  t.strictSame(Object.keys(ours), Object.keys(theirs))
  for (const [name, object] of Object.entries(theirs)) t.strictSame(ours[name], object, name)
})

const files = readdirSync(join(CHART, 'ci')).map(name => `ci/${name}`)
t.ok(files.length >= 3)
for (const file of files) {
  t.test(`${file}: every object fits the API's own types, and every policy holds`, async t => {
    const list = rendered([file], file.includes('cluster') ? [`image.digest=sha256:${'0'.repeat(64)}`, 'replicas.min=3'] : [])
    t.strictSame(await schemaFindings(list), [])
    t.strictSame(typeFindings(file.replaceAll(/\W/g, '-'), list), [])
    const all = new Objects(list)
    const concerned = POLICIES.filter(({ where = () => true }) => where(all))
    for (const { claim, findings } of concerned) t.strictSame(findings(all), [], claim)
    t.comment(`${file}: ${list.length} objects, ${concerned.length} policies`)
  })
}

t.test('values reach the settings as they were written, and take the place of the defaults', async t => {
  const { settings } = new Objects(rendered(['ci/gateway-values.yaml'], ['settings.SHUTDOWN_GRACE_MS=0', 'settings.LEGACY_SESSIONS=false', 'settings.MAX_REQUEST_BYTES=16777216']))
  t.match(settings, {
    RATE_LIMIT_API_KEY: '1000000', SHUTDOWN_GRACE_MS: '0', LEGACY_SESSIONS: 'false', MAX_REQUEST_BYTES: '16777216', REPLICAS: '6', PUBLIC_URL: 'https://mcp.example.com'
  })
  const sentinels = new Objects(rendered(['ci/nginx-values.yaml'])).settings
  t.notOk('REDIS_URL_FILE' in sentinels, 'with Sentinels there is no URL')
  const tools = new Objects(rendered(['ci/cluster-values.yaml'])).serverContainer
  t.match(tools.volumeMounts, [{}, {}, {}, { name: 'tools', mountPath: '/app/tools', readOnly: true }])
  t.equal(new Objects(rendered([], ['networkPolicy.enabled=false'])).policies.length, 0)
  const monitored = objectsOf(renderChart(NAMESPACE, [], ['monitoring.enabled=true', 'monitoring.serviceMonitor=true']))
  t.ok(monitored.some(({ kind }) => kind === 'ServiceMonitor'))
  t.not(JSON.stringify(rendered()), JSON.stringify(rendered([], ['settings.INSPECTION=observe'])))
})

t.test('what is misspelt, out of range, a secret, or the chart\'s own is refused by its schema', async t => {
  t.match(refusal('settings.RATE_LIMT_API_KEY=500'), /RATE_LIMT_API_KEY/)
  t.match(refusal('setings.RATE_LIMIT_API_KEY=500'), /setings/)
  t.match(refusal('ingress.gatway.enabled=true'), /gatway/)
  t.match(refusal('settings.RATE_LIMIT_API_KEY=0'), /RATE_LIMIT_API_KEY/)
  t.match(refusal('settings.INSPECTION=maybe'), /INSPECTION/)
  for (const name of ['STATE_SECRET', 'REDIS_URL', 'REDIS_PASSWORD', 'MCP_API_KEY', 'OAUTH2_CLIENT_SECRET', 'CONFIG_ENCRYPTION_KEY']) t.match(refusal(`settings.${name}=x`), name)
  for (const name of ['PORT', 'HOST', 'PUBLIC_URL', 'REPLICAS']) t.match(refusal(`settings.${name}=1`), name)
  t.match(refusal('image.digest=sha256:short'), /digest/)
  t.match(refusal('redis.ranges={everywhere}'), /ranges/)
  t.match(refusal('replicas.max=7'), /at most twice replicas.min/)
  t.match(refusal('ingress.gateway.enabled=true'), /publicUrl is needed/)
  t.match(refusal('ingress.gateway.enabled=true', 'publicUrl=https://mcp.example.com'), /TRUST_PROXY is needed/)
})

t.test('Helm finds nothing to mend, and every value that the chart has is in its schema', async t => {
  t.match(helm('lint', '--strict', CHART), /0 chart\(s\) failed/)
  const schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')) as { properties: Record<string, { properties?: object }> }
  const values = parseAllDocuments(readFileSync(join(CHART, 'values.yaml'), 'utf8'))[0]!.toJS() as Record<string, object>
  t.strictSame(Object.keys(schema.properties).filter(name => name !== 'global'), Object.keys(values))
  for (const [name, value] of Object.entries(values)) {
    const { properties } = schema.properties[name]!
    if (properties !== undefined && name !== 'settings') t.strictSame(Object.keys(properties), Object.keys(value), name)
  }
})
