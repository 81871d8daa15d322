import { Console } from 'node:console'
import { Writable } from 'node:stream'

/**
 * Take standard output for the protocol. What anything else in this process
 * writes there, `console.log` of a tool first of all, goes to standard error:
 * over stdio a line that is no message ends the connection of many clients.
 * Children that inherit standard output are their author's to redirect.
 */
export function takeStandardOutput (): Writable {
  const { stdout, stderr } = process
  const write = stdout.write.bind(stdout)
  stdout.write = stderr.write.bind(stderr)
  globalThis.console = new Console({ stdout: stderr, stderr })
  return new Writable({
    decodeStrings: false,
    write (chunk: string | Buffer, _encoding, done) { write(chunk, done) }
  })
}
