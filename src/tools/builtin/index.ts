import type { Definition } from '../tool.ts'
import { debugInfo } from './debug-info.ts'
import echo from './echo.ts'
import getTime from './get-time.ts'
import helloWorld from './hello-world.ts'

/** @param debug `MCP_DEBUG` of the server that offers them */
export function builtIn (debug: boolean): readonly Definition[] {
  return [debugInfo(debug), echo, getTime, helloWorld]
}
