import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { Settings } from '../../src/settings/schema.ts'
import { ERRORS } from '../../src/errors.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { folder } from '../support/app.ts'
import { startServer } from '../support/processes.ts'
import { Objects, POLICIES } from './policies.ts'
import { overlay, overlayWith, schemaFindings, typeFindings, type Manifest } from './rendered.ts'

const PROJECT = join(import.meta.dirname, '../..')

const rendered: Record<string, Manifest[]> = {
  dev: overlay('dev'),
  staging: overlay('staging'),
  production: overlay('production'),
  'production with HTTPS outwards': overlayWith('production', ['egress-https']),
  'production by ingress-nginx': overlayWith('production', ['ingress'], ['gateway']),
  'production with every other way in and resolver': overlayWith('production', ['from-range', 'from-agents', 'dns-node-local', 'dns-gke', 'dns-openshift'])
}

for (const [name, list] of Object.entries(rendered)) {
  t.test(`${name}: every object fits the API's own types, field by field`, async t => {
    t.strictSame(await schemaFindings(list), [])
    t.strictSame(typeFindings(name.replaceAll(' ', '-'), list), [])
  })

  t.test(`${name}: every policy holds`, async t => {
    const all = new Objects(list)
    const concerned = POLICIES.filter(({ where = () => true }) => where(all))
    for (const { claim, findings } of concerned) t.strictSame(findings(all), [], claim)
    t.comment(`${name}: ${list.length} objects, ${concerned.length} policies`)
  })
}

t.test('the checks of types find a misspelt field, a wrong type and a missing field', async t => {
  const broken = (change: (server: Manifest) => void) => {
    const list = structuredClone(rendered.dev!)
    change(new Objects(list).server)
    return list
  }
  t.match(typeFindings('misspelt', broken(server => { server.spec.template.spec.containers[0].securityContext.readOnlyRootFileSystem = true })), [/readOnlyRootFileSystem/])
  t.match(await schemaFindings(broken(server => { server.spec.replicas = 'two' })), [/replicas/])
  t.match(await schemaFindings(broken(server => { delete server.spec.selector })), [/selector/])
})

t.test('each policy finds what breaks it', async t => {
  for (const policy of POLICIES) {
    const name = Object.keys(rendered).find(name => policy.where?.(new Objects(rendered[name]!)) ?? true)!
    const all = new Objects(structuredClone(rendered[name]!))
    policy.break(all)
    t.not(policy.findings(all).length, 0, policy.claim)
  }
})

t.test('the ServiceMonitor finds the management Service and a port that it has', async t => {
  const monitor = parse(readFileSync(join(PROJECT, 'k8s/components/service-monitor/service-monitor.yaml'), 'utf8')) as Manifest
  const service = new Objects(rendered.production!).named('Service', 'secure-mcp-server-management')!
  t.match(service.metadata.labels, monitor.spec.selector.matchLabels)
  t.ok(service.spec.ports.some((port: Manifest) => port.name === monitor.spec.endpoints[0].port))
})

t.test('the rule of the alerts is one, and the dashboard a ConfigMap that Grafana finds', async t => {
  const rule = parse(readFileSync(join(PROJECT, 'k8s/components/alerts/prometheus-rule.yaml'), 'utf8')) as Manifest
  t.match(rule, { apiVersion: 'monitoring.coreos.com/v1', kind: 'PrometheusRule', spec: { groups: [{ rules: Array }] } })
  for (const one of rule.spec.groups[0].rules) t.match(one, { alert: /^SecureMcp/, expr: String, labels: { severity: /^(page|ticket)$/ }, annotations: { summary: String } })
  const list = overlayWith('production', ['dashboard'])
  const map = list.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === 'secure-mcp-server-dashboard')!
  t.equal(map.metadata.labels.grafana_dashboard, '1')
  t.match(JSON.parse(map.data['secure-mcp-server.json']), { title: 'secure-mcp-server', panels: Array })
})

t.test('the overlays name the user, the ports and the signal that the Dockerfile has', async t => {
  const dockerfile = readFileSync(join(PROJECT, 'Dockerfile'), 'utf8')
  const { serverPod, serverContainer } = new Objects(rendered.production!)
  t.match(dockerfile, `USER ${serverPod.securityContext.runAsUser}:${serverPod.securityContext.runAsGroup}\n`)
  t.match(dockerfile, `EXPOSE ${serverContainer.ports[0].containerPort}\n`)
  t.match(dockerfile, 'STOPSIGNAL SIGTERM\n')
  t.notMatch(dockerfile, /NODE_ENV|HEALTHCHECK [^:]*CMD|:latest/)
})

t.test('the last step from nothing to two replicas calls a tool', async t => {
  const key = 'sk-of-someone-who-reads-0123456789'
  const { url } = await startServer(t, { cwd: folder(t), env: { MCP_API_KEY: key } })
  const [line] = /^curl [^`]+/m.exec(readFileSync(join(PROJECT, 'docs/operations.md'), 'utf8'))!
  // What curl sends for it, without curl: a machine with Node alone has none.
  t.match(line, /^curl [^']* http:\/\/localhost:3000\/mcp /)
  const [, ...headers] = [...line.matchAll(/--header (?:@<\(printf )?'([^']+)'/g)].map(([, header]) => header!.split(': ') as [string, string])
  const [, body] = /--data '([^']+)'/.exec(line)!
  const answer = await fetch(url, { method: 'POST', headers: { authorization: `Bearer ${key}`, ...Object.fromEntries(headers) }, body: body! })
  t.match(await answer.text(), 'Hello, Ada')
})

t.test('docs/operations.md names settings, reasons, metrics, commands and files that exist', async t => {
  const text = readFileSync(join(PROJECT, 'docs/operations.md'), 'utf8')
  const named = (form: RegExp) => [...new Set([...text.matchAll(form)].map(([, name]) => name!))]
  const known = new Set([...Object.keys(Settings.properties), ...Object.keys(ERRORS)])
  const words = named(/\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\b/g)
  t.ok(words.length > 15)
  t.strictSame(words.filter(word => !known.has(word)), [])

  const metrics = await createMetrics({ process: true, version: '1', settings: 'a' }).text()
  const names = named(/\b(mcp_[a-z_]+)/g)
  t.ok(names.length > 5)
  t.strictSame(names.filter(name => !metrics.includes(`# TYPE ${name} `)), [])

  t.strictSame(named(/`(keys|tokens|ip|state) [a-z]/g).filter(name => !existsSync(join(PROJECT, `src/cli/${name}.ts`))), [])
  t.strictSame(named(/(?<!dist\/)\b((?:k8s|scripts|src)\/[\w./-]+\.\w+)/g).filter(path => !existsSync(join(PROJECT, path))), [])
})
