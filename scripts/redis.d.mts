export interface RedisProgram { command: string, argv0: string, env: Record<string, string> }
export interface RunningRedis { url: string, port: number, pid: number, stop (signal?: NodeJS.Signals): Promise<void> }
export function findRedis (): RedisProgram
export function startRedis (options?: { args?: string[], port?: number }): Promise<RunningRedis>
export function freePort (): Promise<number>
