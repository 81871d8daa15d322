import type { ChildProcess } from 'node:child_process'

export interface RedisProgram { program: string, env: Record<string, string | undefined> }
export interface RunningRedis { url: string, port: number, process: ChildProcess, stop (signal?: NodeJS.Signals): Promise<void> }
export function redisServer (): RedisProgram
export function startRedis (options?: { args?: string[], port?: number, dir?: string, sentinel?: boolean }): Promise<RunningRedis>
export function freePort (): Promise<number>
