// What tsc does not copy, so that dist is complete in itself; and the stamp that setup looks at.
import { cpSync, writeFileSync } from 'node:fs'

cpSync('src/state/lua', 'dist/src/state/lua', { recursive: true })
writeFileSync('dist/.built', '')
