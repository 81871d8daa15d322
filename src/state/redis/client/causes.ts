/** What an error of Redis or of the way to it means, in a sentence for the operator. */
import type { RedisAddress } from './connection.ts'

export interface Cause {
  /** What is wrong and what to set; no password. */
  text: string
  /** Waiting does not mend it. */
  lasting: boolean
}

interface Meaning {
  form: RegExp
  /** Only where Redis is named in this way. */
  only?: keyof Pick<RedisAddress, 'url' | 'sentinels' | 'clusterNodes'>
  text: string | ((match: RegExpExecArray, address: RedisAddress) => string)
  lasting?: false
}

const ACL = 'give it what the ACL file in docs/operations.md lists'

/** The first that fits, told from the special to the general. */
const MEANINGS: readonly Meaning[] = [
  {
    form: /NOPERM.{0,200}?'([^']{1,64})' command/,
    text: ([, command]) => `Redis does not let this user run ${command!.replace('|', ' ').toUpperCase()}: ${ACL}`
  },
  {
    form: /NOPERM.{0,200}(key|channel)/,
    text: ([, what]) =>
      `Redis does not let this user reach one of the ${what}s: ${ACL}, for the prefix that REDIS_KEY_PREFIX names`
  },
  {
    form: /NOPERM|ACL failure in script|executing the script can't/,
    text: `Redis does not let this user do what is needed: ${ACL}`
  },
  { form: /WRONGPASS|NOAUTH|invalid password/, text: 'Redis refuses the user or password' },
  {
    form: /DB index is out of range|SELECT is not allowed in cluster mode/,
    text: 'Redis has no database of that number'
  },
  {
    form: /\bMOVED \d+|\bCROSSSLOT\b/,
    only: 'url',
    text: 'REDIS_URL leads to a node of a Cluster: name the nodes in REDIS_CLUSTER_NODES instead'
  },
  {
    form: /\bMOVED \d+|\bCROSSSLOT\b/,
    only: 'sentinels',
    text: 'REDIS_SENTINELS lead to a node of a Cluster: name the nodes in REDIS_CLUSTER_NODES instead'
  },
  {
    form: /cluster support disabled/,
    text: 'REDIS_CLUSTER_NODES leads to a Redis that is no Cluster: set REDIS_URL instead'
  },
  {
    form: /No such master/,
    text: (_match, { sentinels }) => `the Sentinels know no master "${sentinels?.masterName}": see REDIS_MASTER_NAME`
  },
  {
    form: /unknown command.{0,200}sentinel/i,
    only: 'sentinels',
    text: 'REDIS_SENTINELS lead to a Redis that is no Sentinel: name the Sentinels, or set REDIS_URL instead'
  },
  {
    form: /unknown command/i,
    text: 'what answers there does not know the commands of Redis; a Sentinel goes into REDIS_SENTINELS'
  },
  { form: /Protocol error|parserError/i, text: 'what answers there is not a Redis' },
  {
    form: /wrong version number|packet length too long|EPROTO/i,
    text: 'TLS does not fit: rediss:// and REDIS_TLS speak TLS, redis:// does not'
  },
  {
    form: /self.signed certificate|unable to (get|verify)|certificate has expired|ERR_TLS_CERT|altnames/i,
    text: 'the certificate of Redis is not trusted: see REDIS_CA'
  },
  { form: /ENOTFOUND|EAI_AGAIN/, text: 'the name of Redis cannot be resolved', lasting: false },
  { form: /READONLY/, text: 'what answers there is a replica, which takes no writes', lasting: false },
  { form: /CLUSTERDOWN/, text: 'the Cluster is down, or a part of its slots is served by no node', lasting: false },
  { form: /LOADING/, text: 'Redis is reading its data from disk', lasting: false }
]

/** @returns undefined for an error that says nothing beyond "no answer" */
export function causeOf (error: unknown, address: RedisAddress): Cause | undefined {
  const text = textOf(error)
  for (const { form, only, text: meaning, lasting = true } of MEANINGS) {
    if (only !== undefined && address[only] === undefined) continue
    const match = form.exec(text)
    if (match !== null) return { text: typeof meaning === 'string' ? meaning : meaning(match, address), lasting }
  }
  return undefined
}

/** Where Sentinels or a Cluster lead to an address of their own that cannot be reached. */
export function announcedUnreachable (node: string, { sentinels, clusterNodes }: RedisAddress): string | undefined {
  if (clusterNodes !== undefined && !clusterNodes.includes(node)) {
    return `the Cluster announces ${node}, which cannot be reached from here: see cluster-announce-ip, cluster-announce-hostname and cluster-preferred-endpoint-type of that node`
  }
  if (sentinels !== undefined) {
    return `the Sentinels announce ${node} as the master, which cannot be reached from here: see sentinel announce-ip, replica-announce-ip and REDIS_SENTINELS`
  }
  return undefined
}

/** With what stands behind it: the client wraps what a node of a Cluster said. */
function textOf (error: unknown): string {
  if (!(error instanceof Error)) return ''
  const { name, message, code, lastNodeError } = error as Error & { code?: string, lastNodeError?: unknown }
  return [name, message, code, textOf(error.cause), textOf(lastNodeError)]
    .filter(part => part !== undefined && part !== '')
    .join(' ')
}
