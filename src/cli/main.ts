#!/usr/bin/env node
import { runCommand } from './run.ts'

// Whoever read this may be gone: that ends neither a command nor the service.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

process.exitCode = await runCommand(process.argv.slice(2), {
  stdin: process.stdin,
  out: line => { process.stdout.write(line + '\n') },
  err: line => { process.stderr.write(line + '\n') },
  env: process.env
})
