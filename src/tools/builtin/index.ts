import type { Definition } from '../tool.ts'
import debugInfo from './debug-info.ts'
import echo from './echo.ts'
import getTime from './get-time.ts'
import helloWorld from './hello-world.ts'

export const BUILT_IN: readonly Definition[] = [debugInfo, echo, getTime, helloWorld]
