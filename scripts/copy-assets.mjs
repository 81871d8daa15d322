// What tsc does not copy: the Lua scripts, so that dist is complete in itself.
import { cpSync } from 'node:fs'

cpSync('src/state/lua', 'dist/src/state/lua', { recursive: true })
