// `npm run build`: what tsc does not copy, so that dist is complete in itself; and the stamp that setup looks at.
import { chmodSync, cpSync, statSync, writeFileSync } from 'node:fs'

cpSync('src', 'dist/src', { recursive: true, filter: path => path.endsWith('.lua') || statSync(path).isDirectory() })
// What package.json names as the command is started as a program, by a link to it in the image.
chmodSync('dist/src/cli/main.js', 0o755)
writeFileSync('dist/.built', '')
