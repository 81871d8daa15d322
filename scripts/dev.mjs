// Builds on every change and runs what was built. Ctrl-C ends both.
import { spawn } from 'node:child_process'
import './setup.mjs'

const children = [
  spawn(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--watch', '--preserveWatchOutput'], { stdio: 'inherit' }),
  spawn(process.execPath, ['--watch', 'dist/src/cli/main.js', 'serve'], { stdio: 'inherit' })
]
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => children.forEach(child => child.kill(signal)))
