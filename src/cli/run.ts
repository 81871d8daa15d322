/** The command line: finds the command, prints what it says, answers with its exit code. */
import { nearest } from '../core/nearest.ts'
import { UsageError } from '../errors.ts'
import { PRODUCT } from '../settings/identity.ts'
import { redact } from '../telemetry/redact.ts'
import { COMMAND, type Command, type Io } from './command.ts'

const COMMANDS: Record<string, () => Promise<Command>> = {
  serve: async () => (await import('./serve.ts')).serve,
  dev: async () => (await import('./dev.ts')).dev,
  stdio: async () => (await import('./stdio.ts')).stdio,
  keys: async () => (await import('./keys.ts')).keys,
  config: async () => (await import('./config.ts')).config,
  ip: async () => (await import('./ip.ts')).ip,
  tokens: async () => (await import('./tokens.ts')).tokens,
  tools: async () => (await import('./tools.ts')).tools,
  call: async () => (await import('./call.ts')).call,
  servers: async () => (await import('./servers.ts')).servers,
  state: async () => (await import('./state.ts')).state,
  doctor: async () => (await import('./doctor.ts')).doctor,
  status: async () => (await import('./status.ts')).status,
  audit: async () => (await import('./audit.ts')).audit,
  'dry-run': async () => (await import('./dry-run.ts')).dryRun,
  why: async () => (await import('./why.ts')).why
}

/**
 * Run one command.
 *
 * @returns the exit code: 0, 1 for a failure, 2 for wrong use
 */
export async function runCommand ([name = 'serve', ...args]: readonly string[], io: Io): Promise<number> {
  try {
    if (isHelp(name)) {
      const topic = args.find(arg => !isHelp(arg))
      return await (topic === undefined ? overview(io) : runCommand([topic, '--help'], io))
    }
    if (['--version', '-v', 'version'].includes(name)) {
      if (args[0] !== undefined) throw new UsageError(`Unexpected argument "${args[0].slice(0, 64)}". See --help`)
      io.out(PRODUCT.version)
      return 0
    }
    const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
    if (load === undefined) throw unknownCommand(name)
    const command = await load()
    if (args.includes('--help') || args.includes('-h')) {
      io.out(command.help)
      return 0
    }
    return await command.run(args, io)
  } catch (error) {
    // What was mistyped is said again, unless it looks like a credential.
    if (error instanceof UsageError) {
      io.err(redact(error.message))
      return 2
    }
    io.err(redact(`secure-mcp ${name}: ${(error as Error).message}`))
    return 1
  }
}

function isHelp (word: string): boolean {
  return ['--help', '-h', 'help'].includes(word)
}

function unknownCommand (name: string): UsageError {
  const meant = nearest(name, Object.keys(COMMANDS))
  return new UsageError(
    `There is no command "${name.slice(0, 64)}". ${meant === undefined ? '' : `Is ${meant} meant? `}See: ${COMMAND} --help`
  )
}

async function overview (io: Io): Promise<number> {
  io.out('Usage: secure-mcp <command> [options]\n')
  for (const [name, load] of Object.entries(COMMANDS)) io.out(`  ${name.padEnd(8)} ${(await load()).summary}`)
  io.out('\nEach has --help with an example. --version prints the version.')
  return 0
}
