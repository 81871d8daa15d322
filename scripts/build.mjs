// `npm run build`: what tsc does not copy, so that dist is complete in itself; and the stamp that setup looks at.
import { cpSync, statSync, writeFileSync } from 'node:fs'

cpSync('src', 'dist/src', { recursive: true, filter: path => path.endsWith('.lua') || statSync(path).isDirectory() })
writeFileSync('dist/.built', '')
