/**
 * What every overlay must hold: pod security's `restricted` level control by
 * control, and what a reviewer of a service like this one looks for besides.
 * Each claim comes with a way to break it, so that a test can show that it bites.
 */
import { loadConfig } from '../../src/settings/load.ts'
import { Settings } from '../../src/settings/schema.ts'
import type { Manifest } from './rendered.ts'

export interface Policy {
  claim: string
  /** What is wrong; empty if nothing. */
  findings (all: Objects): string[]
  /** Make it wrong, in one place. */
  break (all: Objects): void
  /** Where it concerns something that not every overlay has. */
  where?: (all: Objects) => boolean
}

/** The objects of one overlay, by what they are. */
export class Objects {
  readonly list: Manifest[]
  constructor (list: Manifest[]) { this.list = list }

  of (...kinds: string[]): Manifest[] { return this.list.filter(({ kind }) => kinds.includes(kind)) }
  named (kind: string, name: string): Manifest | undefined { return this.of(kind).find(({ metadata }) => metadata.name === name) }
  get workloads (): Manifest[] { return this.of('Deployment', 'StatefulSet', 'DaemonSet', 'Job', 'CronJob', 'Pod') }
  get pods (): Manifest[] { return this.workloads.map(({ spec }) => spec.template.spec as Manifest) }
  get containers (): Manifest[] { return this.pods.flatMap(pod => [...pod.containers, ...pod.initContainers ?? []] as Manifest[]) }
  get server (): Manifest { return this.named('Deployment', 'secure-mcp-server')! }
  get serverPod (): Manifest { return this.server.spec.template.spec as Manifest }
  get serverContainer (): Manifest { return this.serverPod.containers[0] as Manifest }
  get scaler (): Manifest | undefined { return this.named('HorizontalPodAutoscaler', 'secure-mcp-server') }
  get ingress (): Manifest | undefined { return this.named('Ingress', 'secure-mcp-server') }
  get route (): Manifest | undefined { return this.named('HTTPRoute', 'secure-mcp-server') }
  /** Whether there is a way in from outside the cluster. */
  get isPublic (): boolean { return this.ingress !== undefined || this.route !== undefined }
  get redis (): Manifest | undefined { return this.named('StatefulSet', 'redis') }
  get policies (): Manifest[] { return this.of('NetworkPolicy') }
  get settings (): Record<string, string> { return this.of('ConfigMap').find(({ metadata }) => metadata.name.startsWith('secure-mcp-server-settings'))!.data as Record<string, string> }
  get namespace (): string { return this.of('Namespace')[0]!.metadata.name as string }
  get isProduction (): boolean { return this.namespace.endsWith('-production') }
  /** The largest number of replicas that may run. */
  get most (): number { return (this.scaler?.spec.maxReplicas ?? this.server.spec.replicas) as number }
}

const each = <T>(things: readonly T[], wrong: (thing: T) => boolean, say: (thing: T) => string): string[] => things.filter(wrong).map(say)
const nameOf = (thing: Manifest) => `${thing.kind ?? 'container'}/${thing.metadata?.name ?? thing.name}`
const matches = (selector: Manifest, labels: Manifest): boolean => Object.entries(selector.matchLabels ?? selector).every(([key, value]) => labels?.[key] === value)
const podLabels = (all: Objects) => all.workloads.map(({ spec }) => spec.template.metadata.labels as Manifest)
const mebibytes = (quantity: string) => Number(/^(\d+)Mi$/.exec(quantity)?.[1] ?? Number.NaN)
const SECRET_NAMES = /SECRET|PASSWORD|(?<!RATE_LIMIT_)API_KEY$|ENCRYPTION_KEY$|^REDIS_URL$/
const VOLUMES = ['configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral', 'persistentVolumeClaim', 'projected', 'secret']
/** What clients are led to. The last four are where they look for an authorization server that is not here, and are told so. */
const PUBLIC_PATHS = ['/mcp', '/.well-known/oauth-protected-resource', '/oauth', '/.well-known/oauth-authorization-server', '/register', '/authorize']
/** Who may come in at which port, by the label of the pods or by range. */
const WAYS_IN = [
  '3000 from app.kubernetes.io/name=ingress-nginx', '3000 from gateway.networking.k8s.io/gateway-name=public', '3000 from secure-mcp-server/client=allowed', '3000 from 10.20.0.0/24',
  '9090 from app.kubernetes.io/name=prometheus', '6379 from app.kubernetes.io/name=secure-mcp-server'
]
/** Who resolves names: CoreDNS, OpenShift's, the cache of a node, Google's. */
const RESOLVERS = ['53 at kube-system', '5353 at openshift-dns', '53 at 169.254.20.10/32', '53 at 169.254.169.254/32']
const METADATA_SERVICE = '169.254.169.254/32'
const INTERNAL = ['10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.168.0.0/16']

/** The controls of the `restricted` level (and of `baseline` beneath it), in the order of their documentation. */
const RESTRICTED: Policy[] = [
  {
    claim: 'no pod shares the network, processes or IPC of its node',
    findings: all => each(all.pods, pod => pod.hostNetwork || pod.hostPID || pod.hostIPC, () => 'a pod shares a namespace of the node'),
    break: all => { all.serverPod.hostPID = true }
  },
  {
    claim: 'no container is privileged',
    findings: all => each(all.containers, ({ securityContext }) => securityContext?.privileged !== false, nameOf),
    break: all => { all.serverContainer.securityContext.privileged = true }
  },
  {
    claim: 'every container gives up all capabilities and takes none back',
    findings: all => each(all.containers, ({ securityContext: c }) => JSON.stringify(c?.capabilities) !== '{"drop":["ALL"]}', nameOf),
    break: all => { all.serverContainer.securityContext.capabilities.add = ['NET_ADMIN'] }
  },
  {
    claim: 'every volume is of a kind that cannot reach the node',
    findings: all => all.pods.flatMap(pod => each(pod.volumes ?? [], (volume: Manifest) => Object.keys(volume).some(key => key !== 'name' && !VOLUMES.includes(key)), (volume: Manifest) => volume.name)),
    break: all => { all.serverPod.volumes.push({ name: 'node', hostPath: { path: '/' } }) }
  },
  {
    claim: 'no container takes a port of its node',
    findings: all => each(all.containers, ({ ports = [] }) => ports.some((port: Manifest) => port.hostPort !== undefined), nameOf),
    break: all => { all.serverContainer.ports[0].hostPort = 3000 }
  },
  {
    claim: 'nothing changes AppArmor, SELinux, /proc, sysctls or host processes',
    findings: all => [
      ...each(all.pods, ({ securityContext: c = {} }) => c.appArmorProfile || c.seLinuxOptions || c.sysctls || c.windowsOptions, () => 'a pod'),
      ...each(all.containers, ({ securityContext: c = {} }) => c.appArmorProfile || c.seLinuxOptions || c.procMount || c.windowsOptions, nameOf)
    ],
    break: all => { all.serverContainer.securityContext.procMount = 'Unmasked' }
  },
  {
    claim: 'no container can gain privileges',
    findings: all => each(all.containers, ({ securityContext }) => securityContext?.allowPrivilegeEscalation !== false, nameOf),
    break: all => { delete all.serverContainer.securityContext.allowPrivilegeEscalation }
  },
  {
    claim: 'every pod must run as somebody who is not root, by a number of 10001 or above',
    findings: all => [
      ...each(all.pods, ({ securityContext: c = {} }) => c.runAsNonRoot !== true || !(c.runAsUser >= 10_001) || !(c.runAsGroup >= 10_001) || (c.supplementalGroups ?? []).includes(0), () => 'a pod'),
      ...each(all.containers, ({ securityContext: c = {} }) => c.runAsUser !== undefined || c.runAsNonRoot !== undefined, nameOf)
    ],
    break: all => { all.serverPod.securityContext.runAsUser = 0 }
  },
  {
    claim: 'every pod is held to the system calls of the runtime default',
    findings: all => [
      ...each(all.pods, ({ securityContext: c = {} }) => c.seccompProfile?.type !== 'RuntimeDefault', () => 'a pod'),
      ...each(all.containers, ({ securityContext: c = {} }) => c.seccompProfile !== undefined, nameOf)
    ],
    break: all => { all.serverPod.securityContext.seccompProfile.type = 'Unconfined' }
  },
  {
    claim: 'the namespace enforces the restricted level itself',
    findings: all => each(['enforce', 'audit', 'warn'], mode => all.of('Namespace')[0]!.metadata.labels[`pod-security.kubernetes.io/${mode}`] !== 'restricted', mode => mode),
    break: all => { all.of('Namespace')[0]!.metadata.labels['pod-security.kubernetes.io/enforce'] = 'baseline' }
  }
]

/** `1Gi` in bytes. */
function bytesOf (text: string | undefined): number {
  const [, number, unit] = /^(\d+)([KMG])i$/.exec(text ?? '') ?? []
  return Number(number) * 1024 ** ['', 'K', 'M', 'G'].indexOf(unit ?? '')
}

const PODS: Policy[] = [
  {
    claim: 'every root file system is read-only',
    findings: all => each(all.containers, ({ securityContext }) => securityContext?.readOnlyRootFilesystem !== true, nameOf),
    break: all => { all.serverContainer.securityContext.readOnlyRootFilesystem = false }
  },
  {
    claim: 'records have a volume of twice AUDIT_MAX_BYTES, and the limit of the container leaves room for it',
    findings: ({ settings, serverPod, serverContainer }) => {
      const mount = serverContainer.volumeMounts.find((one: Manifest) => one.mountPath === settings.AUDIT_DIR)
      const volume = serverPod.volumes.find((one: Manifest) => one.name === mount?.name)
      const [size, limit] = [volume?.emptyDir?.sizeLimit, serverContainer.resources.limits['ephemeral-storage']].map(bytesOf)
      return Number(settings.AUDIT_MAX_BYTES) * 2 <= size! && size! < limit! ? [] : [`${settings.AUDIT_MAX_BYTES}, ${size}, ${limit}`]
    },
    break: all => { all.settings.AUDIT_MAX_BYTES = '1073741824' }
  },
  {
    claim: 'every folder that may be written is bounded',
    findings: all => all.pods.flatMap(pod => each(pod.volumes ?? [], (volume: Manifest) => volume.emptyDir !== undefined && volume.emptyDir.sizeLimit === undefined, (volume: Manifest) => volume.name)),
    break: all => { delete all.serverPod.volumes.find((volume: Manifest) => volume.emptyDir !== undefined).emptyDir.sizeLimit }
  },
  {
    claim: 'no pod holds a token of the Kubernetes API, nor does an account hand one out',
    findings: all => [
      ...each(all.pods, pod => pod.automountServiceAccountToken !== false, () => 'a pod'),
      ...each(all.of('ServiceAccount'), account => account.automountServiceAccountToken !== false, nameOf)
    ],
    break: all => { delete all.serverPod.automountServiceAccountToken }
  },
  {
    claim: 'the server runs under an account of its own, which no role is bound to',
    findings: all => [
      ...each([all.serverPod], pod => all.named('ServiceAccount', pod.serviceAccountName) === undefined, pod => String(pod.serviceAccountName)),
      ...all.of('Role', 'RoleBinding', 'ClusterRole', 'ClusterRoleBinding').map(nameOf)
    ],
    break: all => { delete all.serverPod.serviceAccountName }
  },
  {
    claim: 'no other Service puts variables into the environment of a pod',
    findings: all => each(all.pods, pod => pod.enableServiceLinks !== false, () => 'a pod'),
    break: all => { delete all.serverPod.enableServiceLinks }
  },
  {
    claim: 'every image names a version, and in production of the server its digest',
    findings: all => [
      ...each(all.containers, ({ image }) => !/[:@][^/]+$/.test(image) || image.endsWith(':latest'), ({ image }) => image),
      ...each(all.isProduction ? [all.serverContainer] : [], ({ image }) => !/@sha256:[0-9a-f]{64}$/.test(image), ({ image }) => image)
    ],
    break: all => { all.serverContainer.image = 'secure-mcp-server:latest' }
  },
  {
    claim: 'every container asks for CPU, memory and disk, gets no more memory than it asks for, and is not throttled',
    findings: all => each(all.containers, ({ resources: r }) => !(r?.requests?.cpu && r.requests.memory && r.requests['ephemeral-storage'] && r.limits?.['ephemeral-storage']) || r.limits.memory !== r.requests.memory || r.limits.cpu !== undefined, nameOf),
    break: all => { all.serverContainer.resources.limits.memory = '1Gi' }
  },
  {
    claim: 'the memory limit has room for the heap, for what Node needs beside it, and for two commands in the pod',
    findings: all => {
      const heap = Number(/--max-old-space-size=(\d+)/.exec(all.settings.NODE_OPTIONS ?? '')?.[1])
      return heap >= 256 && heap + 96 + 2 * 64 <= mebibytes(all.serverContainer.resources.limits.memory) ? [] : [`${heap} MiB`]
    },
    break: all => { all.settings.NODE_OPTIONS = '--max-old-space-size=384' }
  },
  {
    claim: 'every container has all three probes, with time to answer',
    findings: all => each(all.containers, ({ startupProbe: s, livenessProbe: l, readinessProbe: r }) => [s, l, r].some(probe => !(probe?.timeoutSeconds >= 1 && probe.periodSeconds >= 1)), nameOf),
    break: all => { delete all.serverContainer.startupProbe }
  },
  {
    claim: 'liveness asks the event loop alone, readiness whether to take traffic',
    findings: ({ serverContainer: { startupProbe: s, livenessProbe: l, readinessProbe: r } }) =>
      s?.httpGet?.path === '/livez' && l?.httpGet?.path === '/livez' && r?.httpGet?.path === '/readyz' ? [] : ['a probe asks for something else'],
    break: all => { all.serverContainer.livenessProbe.httpGet.path = '/readyz' }
  },
  {
    claim: 'every probe asks a port that its container names',
    findings: all => each(all.containers, container => ['startupProbe', 'livenessProbe', 'readinessProbe'].some(name => {
      const port = container[name]?.httpGet?.port ?? container[name]?.tcpSocket?.port
      return port !== undefined && !container.ports.some((named: Manifest) => named.name === port)
    }), nameOf),
    break: all => { all.serverContainer.readinessProbe.httpGet.port = 'web' }
  },
  {
    claim: 'a pod that drains is given the time that its settings ask for, and ten seconds more',
    findings: ({ serverPod: { terminationGracePeriodSeconds: seconds }, settings }) =>
      Number(settings.DRAIN_MS) + Number(settings.SHUTDOWN_GRACE_MS) + 10_000 <= seconds * 1000 ? [] : [`${seconds} s`],
    break: all => { all.serverPod.terminationGracePeriodSeconds = 30 }
  },
  {
    claim: 'a pod goes on serving for longer than readiness needs to be noticed',
    findings: ({ serverContainer: { readinessProbe: { periodSeconds, failureThreshold } }, settings }) =>
      Number(settings.DRAIN_MS) >= periodSeconds * failureThreshold * 1000 ? [] : [settings.DRAIN_MS!],
    break: all => { all.settings.DRAIN_MS = '1000' }
  }
]

const SCALE: Policy[] = [
  {
    claim: 'a rollout takes no pod away before its successor is ready, and ends if it gets no further',
    findings: ({ server: { spec } }) => spec.strategy?.rollingUpdate?.maxUnavailable === 0 && spec.strategy.rollingUpdate.maxSurge > 0 && spec.progressDeadlineSeconds > spec.minReadySeconds ? [] : ['strategy'],
    break: all => { all.server.spec.strategy.rollingUpdate.maxUnavailable = 1 }
  },
  {
    claim: 'at least two replicas run, in production three',
    findings: all => (all.scaler?.spec.minReplicas ?? all.server.spec.replicas) >= (all.isProduction ? 3 : 2) ? [] : ['too few'],
    break: all => { if (all.scaler === undefined) all.server.spec.replicas = 1; else all.scaler.spec.minReplicas = 1 }
  },
  {
    claim: 'the number of replicas has one owner',
    findings: all => (all.scaler === undefined) === (all.server.spec.replicas !== undefined) ? [] : ['both or neither'],
    break: all => { if (all.scaler === undefined) delete all.server.spec.replicas; else all.server.spec.replicas = 3 }
  },
  {
    claim: 'REPLICAS is the largest number that may run, and at most twice the smallest: without Redis nobody gets more than the limit, nor less than half of it',
    findings: all => Number(all.settings.REPLICAS) === all.most && all.most <= 2 * (all.scaler?.spec.minReplicas ?? all.most) ? [] : [`REPLICAS=${all.settings.REPLICAS}, at most ${all.most}`],
    break: all => { all.settings.REPLICAS = '1' }
  },
  {
    claim: 'the autoscaler looks at CPU with room to spare and gives replicas up slowly',
    where: all => all.scaler !== undefined,
    findings: ({ scaler }) => scaler!.spec.metrics[0].resource.target.averageUtilization <= 70 && scaler!.spec.behavior?.scaleDown?.stabilizationWindowSeconds >= 300 ? [] : ['behaviour'],
    break: ({ scaler }) => { delete scaler!.spec.behavior }
  },
  {
    claim: 'nodes are drained one pod of the server at a time, even while none is ready',
    findings: all => {
      const budget = all.named('PodDisruptionBudget', 'secure-mcp-server')?.spec
      return budget?.maxUnavailable === 1 && budget.unhealthyPodEvictionPolicy === 'AlwaysAllow' ? [] : ['budget']
    },
    break: all => { all.named('PodDisruptionBudget', 'secure-mcp-server')!.spec.maxUnavailable = 0 }
  },
  {
    claim: 'replicas are spread over zones where possible and over nodes always, each rollout by itself',
    findings: ({ serverPod: { topologySpreadConstraints: constraints = [] } }) => {
      const found = Object.fromEntries(constraints.map((constraint: Manifest) => [constraint.topologyKey, constraint])) as Record<string, Manifest>
      const [zone, node] = [found['topology.kubernetes.io/zone'], found['kubernetes.io/hostname']]
      return zone?.whenUnsatisfiable === 'ScheduleAnyway' && node?.whenUnsatisfiable === 'DoNotSchedule' &&
        [zone, node].every(constraint => constraint.maxSkew === 1 && constraint.matchLabelKeys?.includes('pod-template-hash'))
        ? []
        : ['constraints']
    },
    break: all => { all.serverPod.topologySpreadConstraints.pop() }
  },
  {
    claim: 'every selector finds the pods that it is meant for',
    findings: all => [
      ...each(all.workloads, ({ spec }) => !matches(spec.selector, spec.template.metadata.labels), nameOf),
      ...each(all.of('Service'), ({ spec }) => !podLabels(all).some(labels => matches(spec.selector, labels)), nameOf),
      ...each(all.of('PodDisruptionBudget'), ({ spec }) => !podLabels(all).some(labels => matches(spec.selector, labels)), nameOf),
      ...each(all.serverPod.topologySpreadConstraints as Manifest[], ({ labelSelector }) => !matches(labelSelector, all.server.spec.template.metadata.labels), ({ topologyKey }) => topologyKey),
      ...each(all.policies, ({ spec }) => !podLabels(all).some(labels => matches(spec.podSelector, labels)), nameOf)
    ],
    break: all => { all.named('PodDisruptionBudget', 'secure-mcp-server')!.spec.selector.matchLabels['app.kubernetes.io/name'] = 'server' }
  }
]

const NETWORK: Policy[] = [
  {
    claim: 'nothing goes in or out but by a policy that says so',
    findings: all => all.policies.some(({ spec }) => JSON.stringify(spec) === '{"podSelector":{},"policyTypes":["Ingress","Egress"]}') ? [] : ['no default deny'],
    break: all => { all.named('NetworkPolicy', 'default-deny')!.spec.policyTypes.pop() }
  },
  {
    claim: 'every such policy names its pods, its peers and its ports',
    findings: all => each(all.policies.filter(({ metadata }) => metadata.name !== 'default-deny'), ({ spec }) => {
      const rules = [...spec.ingress ?? [], ...spec.egress ?? []] as Manifest[]
      return rules.length === 0 || Object.keys(spec.podSelector.matchLabels ?? {}).length === 0 ||
        rules.some(rule => !(rule.ports?.length > 0) || !((rule.from ?? rule.to)?.length > 0) || (rule.from ?? rule.to).some((peer: Manifest) => Object.keys(peer).length === 0))
    }, nameOf),
    break: all => { delete all.named('NetworkPolicy', 'to-redis')!.spec.egress[0].ports }
  },
  {
    claim: 'a policy that lets a namespace in names its pods too, and one that lets a range in a small one',
    findings: all => each(all.policies, ({ spec }) => (spec.ingress ?? []).some((rule: Manifest) => rule.from.some((peer: Manifest) => (peer.ipBlock ? Number(peer.ipBlock.cidr.split('/')[1]) < 20 : peer.namespaceSelector && !(Object.keys(peer.podSelector?.matchLabels ?? {}).length > 0)))), nameOf),
    where: all => all.isPublic,
    break: all => { delete all.named('NetworkPolicy', 'from-ingress')!.spec.ingress[0].from[0].podSelector }
  },
  {
    claim: 'the public port is open to what leads clients here, the management port to Prometheus alone',
    where: all => all.isPublic,
    findings: all => all.policies.flatMap(policy => (policy.spec.ingress ?? []).flatMap((rule: Manifest) => rule.ports.flatMap((port: Manifest) => rule.from.map((peer: Manifest) =>
      `${port.port} from ${peer.ipBlock?.cidr ?? Object.entries(peer.podSelector.matchLabels).map(([name, value]) => `${name}=${String(value)}`).join()}`))))
      .filter((line: string) => !WAYS_IN.includes(line)),
    break: all => { all.named('NetworkPolicy', 'from-monitoring')!.spec.ingress[0].ports[0].port = 3000 }
  },
  {
    claim: 'names are resolved by the cluster alone',
    findings: all => all.policies.flatMap(({ spec }) => (spec.egress ?? []) as Manifest[]).filter(rule => rule.ports.some((port: Manifest) => [53, 5353].includes(port.port)))
      .flatMap(rule => (rule.to as Manifest[]).flatMap(({ ipBlock, namespaceSelector, podSelector }) => rule.ports.map((port: Manifest) =>
        `${port.port} at ${ipBlock?.cidr ?? (podSelector === undefined ? 'any pod' : namespaceSelector?.matchLabels?.['kubernetes.io/metadata.name'])}`)))
      .filter((line: string) => !RESOLVERS.includes(line)),
    break: all => { all.named('NetworkPolicy', 'dns')!.spec.egress[0].to = [{ ipBlock: { cidr: '0.0.0.0/0' } }] }
  },
  {
    claim: 'no way out leads to the metadata service but for names, to the nodes or to other pods by accident',
    findings: all => [
      ...all.policies.flatMap(({ spec }) => (spec.egress ?? []) as Manifest[]).filter(({ to, ports }) => to.some((peer: Manifest) => peer.ipBlock?.cidr === METADATA_SERVICE) && ports.some((port: Manifest) => port.port !== 53)).map(() => METADATA_SERVICE),
      ...all.policies.flatMap(({ spec }) => (spec.egress ?? []) as Manifest[]).flatMap(rule => rule.to as Manifest[])
        .filter(({ ipBlock }) => ipBlock !== undefined && Number(ipBlock.cidr.split('/')[1]) < 16 && !INTERNAL.every(range => ipBlock.except?.includes(range))).map(({ ipBlock }) => ipBlock.cidr)
    ],
    break: all => { all.named('NetworkPolicy', 'to-redis')!.spec.egress[0].to = [{ ipBlock: { cidr: '0.0.0.0/0' } }] }
  },
  {
    claim: 'Redis speaks to the server alone, and to nobody by itself',
    where: all => all.redis !== undefined,
    findings: all => {
      const labels = all.redis!.spec.template.metadata.labels as Manifest
      const own = all.policies.filter(({ spec, metadata }) => metadata.name !== 'default-deny' && matches(spec.podSelector, labels))
      return own.length === 1 && own[0]!.spec.egress === undefined && own[0]!.spec.ingress.length === 1 && own[0]!.spec.ingress[0].from.length === 1 ? [] : ['policies of Redis']
    },
    break: all => { all.named('NetworkPolicy', 'redis-from-server')!.spec.ingress[0].from.push({ namespaceSelector: {} }) }
  },
  {
    claim: 'every Service is inside the cluster, without affinity, and leads to a port that a container names',
    findings: all => each(all.of('Service'), ({ spec }) => spec.type !== 'ClusterIP' || (spec.sessionAffinity ?? 'None') !== 'None' || spec.externalIPs !== undefined ||
      spec.ports.some((port: Manifest) => !all.containers.some(container => container.ports.some((named: Manifest) => named.name === port.targetPort))), nameOf),
    break: all => { all.named('Service', 'secure-mcp-server')!.spec.type = 'LoadBalancer' }
  },
  {
    claim: 'the public Service does not lead to the management port',
    findings: all => each(all.named('Service', 'secure-mcp-server')!.spec.ports as Manifest[], port => port.targetPort !== 'http', port => port.name),
    break: all => { all.named('Service', 'secure-mcp-server')!.spec.ports.push({ name: 'management', port: 9090, targetPort: 'management' }) }
  },
  {
    claim: 'management listens on loopback unless a policy says who may come',
    findings: all => all.settings.MANAGEMENT_HOST === '127.0.0.1' || all.named('NetworkPolicy', 'from-monitoring') !== undefined ? [] : [all.settings.MANAGEMENT_HOST!],
    break: all => {
      all.settings.MANAGEMENT_HOST = '0.0.0.0'
      all.list.splice(0, all.list.length, ...all.list.filter(({ metadata }) => metadata.name !== 'from-monitoring'))
    }
  },
  {
    claim: 'the ingress speaks TLS for the host of PUBLIC_URL, and for no other',
    where: all => all.ingress !== undefined,
    findings: ({ ingress, settings }) => {
      const hosts = [...ingress!.spec.rules.map((rule: Manifest) => rule.host), ...ingress!.spec.tls.flatMap((tls: Manifest) => tls.hosts)] as string[]
      const redirected = ingress!.metadata.annotations['nginx.ingress.kubernetes.io/ssl-redirect'] === 'true'
      return redirected && hosts.length >= 2 && hosts.every(host => settings.PUBLIC_URL === `https://${host}`) ? [] : hosts
    },
    break: ({ ingress }) => { ingress!.spec.tls = [{ hosts: ['other.example.com'], secretName: 'x' }] }
  },
  {
    claim: 'the ingress leads to what clients need and not to the probes',
    where: all => all.ingress !== undefined,
    findings: all => all.ingress!.spec.rules.flatMap((rule: Manifest) => rule.http.paths as Manifest[])
      .filter((path: Manifest) => !PUBLIC_PATHS.includes(path.path) || path.backend.service.name !== 'secure-mcp-server' || path.backend.service.port.name !== 'http').map((path: Manifest) => path.path),
    break: ({ ingress }) => { ingress!.spec.rules[0].http.paths[0].path = '/' }
  },
  {
    claim: 'the ingress neither holds events back, nor refuses a body before the server does, nor sends a call twice',
    where: all => all.ingress !== undefined,
    findings: ({ ingress, settings }) => {
      const of = (name: string) => ingress!.metadata.annotations[`nginx.ingress.kubernetes.io/${name}`] as string
      const most = Number(settings.MAX_REQUEST_BYTES ?? loadConfig({}).MAX_REQUEST_BYTES)
      return of('proxy-buffering') === 'off' && of('proxy-next-upstream') === 'off' && Number(of('proxy-read-timeout')) >= 600 && Number(/^(\d+)m$/.exec(of('proxy-body-size'))?.[1]) * 1_048_576 > most ? [] : ['annotations']
    },
    break: ({ ingress }) => { ingress!.metadata.annotations['nginx.ingress.kubernetes.io/proxy-body-size'] = '1m' }
  },
  {
    claim: 'the route serves the host of PUBLIC_URL and no other, at the listener that ends TLS',
    where: all => all.route !== undefined,
    findings: ({ route, settings }) => {
      const { hostnames, parentRefs } = route!.spec as Manifest
      return hostnames.length === 1 && settings.PUBLIC_URL === `https://${hostnames[0]}` && parentRefs.every((parent: Manifest) => parent.sectionName === 'https') ? [] : hostnames
    },
    break: ({ route }) => { delete route!.spec.parentRefs[0].sectionName }
  },
  {
    claim: 'the route leads to what clients need and not to the probes',
    where: all => all.route !== undefined,
    findings: all => all.route!.spec.rules.flatMap(({ matches, backendRefs }: Manifest) => [
      ...matches.map(({ path }: Manifest) => path.value).filter((path: string) => !PUBLIC_PATHS.includes(path)),
      ...backendRefs.filter(({ name, port }: Manifest) => !all.named('Service', name)?.spec.ports.some((known: Manifest) => known.port === port && known.targetPort === 'http')).map(({ name }: Manifest) => name)
    ]),
    break: ({ route }) => { route!.spec.rules[0].matches[0].path.value = '/' }
  },
  {
    claim: 'the route ends no stream and sends no call twice',
    where: all => all.route !== undefined,
    findings: ({ route }) => each(route!.spec.rules as Manifest[], ({ timeouts, retry }) => timeouts?.request !== '0s' || timeouts.backendRequest !== '0s' || retry !== undefined, () => 'rule'),
    break: ({ route }) => { delete route!.spec.rules[0].timeouts }
  }
]

const CONFIGURATION: Policy[] = [
  {
    claim: 'no Secret is rendered: values of secrets are not kept here',
    findings: all => all.of('Secret').map(nameOf),
    break: all => { all.list.push({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'x', namespace: all.namespace } }) }
  },
  {
    claim: 'no secret stands in a ConfigMap or in the environment',
    findings: all => [
      ...each(Object.keys(all.settings), name => !name.endsWith('_FILE') && SECRET_NAMES.test(name), name => name),
      ...each(all.of('ConfigMap'), ({ data }) => Object.values(data).some(text => /:\/\/[^\s/:@]*:[^\s/@]+@/.test(String(text))), nameOf),
      ...each(all.containers, ({ env = [], envFrom = [] }) => env.length > 0 || envFrom.some((source: Manifest) => source.secretRef !== undefined), nameOf)
    ],
    break: all => { all.settings.STATE_SECRET = 'x' }
  },
  {
    claim: 'secrets are mounted as files that root owns, the group of the pod reads and nobody writes',
    findings: all => all.workloads.flatMap(({ spec: { template: { spec: pod } } }) => each((pod.volumes as Manifest[]).filter(volume => volume.secret !== undefined), volume =>
      volume.secret.defaultMode !== 0o440 || volume.secret.optional === true || !(pod.securityContext.fsGroup >= 10_001) ||
      (pod.containers as Manifest[]).some(container => container.volumeMounts.some((mount: Manifest) => mount.name === volume.name && mount.readOnly !== true)), volume => volume.name)),
    break: all => { all.serverPod.volumes.find((volume: Manifest) => volume.secret !== undefined).secret.defaultMode = 0o444 }
  },
  {
    claim: 'every setting that names a file names one under a volume that is mounted',
    findings: all => each(Object.entries(all.settings).filter(([name, path]) => name.endsWith('_FILE') && path !== ''), ([, path]) =>
      !all.serverContainer.volumeMounts.some((mount: Manifest) => path.startsWith(`${mount.mountPath}/`)), ([name]) => name),
    break: all => { all.settings.STATE_SECRET_FILE = '/etc/state_secret' }
  },
  {
    claim: 'every setting is one that the server knows',
    findings: all => each(Object.keys(all.settings), name => !(name in Settings.properties) && !(name.replace(/_FILE$/, '') in Settings.properties) && !/^NODE_(OPTIONS|EXTRA_CA_CERTS)$/.test(name), name => name),
    break: all => { all.settings.TRUSTED_PROXIES = '10.0.0.0/8' }
  },
  {
    claim: 'the server starts with these settings',
    findings: ({ settings }) => {
      try {
        const found = settings.REDIS_URL_FILE === undefined ? {} : { REDIS_URL: 'rediss://mcp:of-a-test@redis.example.com' }
        loadConfig({ ...settings, ...found, STATE_SECRET: 'of-a-test-0123456789-0123456789-abcdef' })
        return []
      } catch (error) {
        return [(error as Error).message]
      }
    },
    break: all => { all.settings.TRUST_PROXY = '0.0.0.0/0' }
  },
  {
    claim: 'authentication is on, inspection blocks, debugging is off',
    findings: ({ settings }) => ['MCP_AUTH_ENABLED', 'INSPECTION', 'MCP_DEBUG'].filter(name => settings[name] !== undefined),
    break: all => { all.settings.MCP_AUTH_ENABLED = 'false' }
  },
  {
    claim: 'clients reach it by https where they come from outside, and only there is a proxy believed, by its range',
    findings: all => (all.isPublic
      ? all.settings.PUBLIC_URL!.startsWith('https://') && /^[\d.]+\/\d+$/.test(all.settings.TRUST_PROXY ?? '')
      : all.settings.TRUST_PROXY === undefined)
      ? []
      : ['PUBLIC_URL or TRUST_PROXY'],
    break: all => { all.settings.TRUST_PROXY = '1' }
  },
  {
    claim: 'a changed setting is a new ConfigMap, and so a rollout',
    findings: all => [
      ...each(all.of('ConfigMap'), ({ metadata }) => !/-[a-z0-9]{10}$/.test(metadata.name), nameOf),
      ...each(all.serverContainer.envFrom as Manifest[], ({ configMapRef }) => all.named('ConfigMap', configMapRef.name) === undefined, ({ configMapRef }) => configMapRef.name)
    ],
    break: all => { all.of('ConfigMap')[0]!.metadata.name = 'settings' }
  },
  {
    claim: 'everything is in one namespace of its own, and nothing concerns the whole cluster',
    findings: all => each(all.list, object => object.kind === 'Namespace' ? object.metadata.name !== all.namespace : object.metadata.namespace !== all.namespace || all.namespace === 'default', nameOf),
    break: all => { all.serverContainer.name = 'x'; all.server.metadata.namespace = 'default' }
  },
  {
    claim: 'every object bears the recommended labels',
    findings: all => [
      ...each(all.list, ({ metadata }) => !['part-of', 'managed-by'].every(label => metadata.labels?.[`app.kubernetes.io/${label}`]), nameOf),
      ...each([...all.workloads, ...all.of('Service')], ({ metadata }) => !['name', 'component'].every(label => metadata.labels?.[`app.kubernetes.io/${label}`]), nameOf)
    ],
    break: all => { delete all.server.metadata.labels['app.kubernetes.io/part-of'] }
  },
  {
    claim: 'Redis keeps what it acknowledged, evicts nothing and knows nobody without a password',
    where: all => all.redis !== undefined,
    findings: all => {
      const config = String(all.of('ConfigMap').find(({ metadata }) => metadata.name.startsWith('redis-config'))!.data['redis.conf'])
      const { template, volumeClaimTemplates } = all.redis!.spec
      const [container] = template.spec.containers
      const data = /^dir (\S+)$/m.exec(config)?.[1]
      return [
        ...['appendonly yes', 'appendfsync everysec', 'maxmemory-policy noeviction', 'aclfile /etc/redis/users/users.acl'].filter(line => !config.split('\n').includes(line)),
        ...(container.volumeMounts.some((mount: Manifest) => mount.mountPath === data && volumeClaimTemplates.some((claim: Manifest) => claim.metadata.name === mount.name)) ? [] : ['its folder is on no volume that lasts']),
        ...(Number(/^maxmemory (\d+)mb$/m.exec(config)?.[1]) * 2 <= mebibytes(container.resources.limits.memory) ? [] : ['no room to rewrite its file'])
      ]
    },
    break: all => { delete all.redis!.spec.volumeClaimTemplates[0].metadata.name }
  }
]

export const POLICIES: readonly Policy[] = [...RESTRICTED, ...PODS, ...SCALE, ...NETWORK, ...CONFIGURATION]
