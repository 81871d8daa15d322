// `npm run dev`: builds on every change and starts the server anew, as `secure-mcp-server dev`: tools are loaded again without a start.
import { spawn } from 'node:child_process'

const run = args => spawn(process.execPath, args, { stdio: 'inherit' })
const compiler = run(['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--watch', '--preserveWatchOutput'])
const server = run(['--watch-path=dist', 'dist/src/cli/main.js', 'dev'])
process.on('SIGINT', () => { compiler.kill(); server.kill() })
