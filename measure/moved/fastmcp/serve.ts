import { FastMCP } from 'fastmcp'
import screenshot from './screenshot.ts'
import setTaskStatus from './set-task-status.ts'
import webData from './web-data.ts'

const server = new FastMCP({ name: 'before', version: '1.0.0' })
for (const add of [screenshot, setTaskStatus, webData]) add(server)
await server.start({ transportType: 'stdio' })
