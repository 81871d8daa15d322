// Prints the Secrets that overlays/dev needs, with random values, for kubectl alone to read:
//   node k8s/overlays/dev/secrets.mjs | kubectl apply -f -
// Nothing is written to a file, and no value is an argument. For development; docs/operations.md says what production does.
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const [namespace = 'secure-mcp-dev'] = process.argv.slice(2)
const rules = readFileSync(join(import.meta.dirname, '../../components/redis/users.acl'), 'utf8')
const random = () => randomBytes(32).toString('base64url')
const password = random()

const secret = (name, stringData) => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, type: 'Opaque', stringData })
const items = [
  secret('secure-mcp-server', { REDIS_URL: `redis://mcp:${password}@redis:6379`, STATE_SECRET: random() }),
  // Redis itself holds the hash alone.
  secret('redis-users', { 'users.acl': rules.replace('<sha256>', createHash('sha256').update(password).digest('hex')) })
]
process.stdout.write(JSON.stringify({ apiVersion: 'v1', kind: 'List', items }, null, 2) + '\n')
