/** `subscriptions/listen` of revision 2026-07-28: one stream, of what its principal may hear. */
import type { JSONRPCMessage } from '@modelcontextprotocol/server'
import type { Caller } from '../../auth/chain.ts'
import type { ServerInfo } from '../../core/identity.ts'
import { mayUse } from '../../core/permissions.ts'
import type { Principal } from '../../core/principal.ts'
import type { Log } from '../../telemetry/log.ts'
import { noticesOf, type Events, type Subscription } from './changes.ts'
import { EventStream } from './event-stream.ts'
import { EVENT_STREAM_HEADERS, type HttpResponse } from '../http-response.ts'
import { SERVER_INFO_META_KEY } from '../sdk/protocol.ts'
import type { Streams } from './registry.ts'
import type { WatchedResources } from './watched-resources.ts'

export interface ListenOptions {
  events: Events
  streams: Streams
  watched: WatchedResources
  /** How the server names itself. */
  info: ServerInfo
  /** Whether there is a resource of that name. */
  offers: (uri: string) => boolean
  log: Log
}

interface Filter {
  toolsListChanged?: unknown
  promptsListChanged?: unknown
  resourcesListChanged?: unknown
  resourceSubscriptions?: unknown
}

const SUBSCRIPTION_ID = 'io.modelcontextprotocol/subscriptionId'
/** Of one stream. */
const MAX_URIS = 1000

/**
 * Open the stream. The request itself has been checked.
 *
 * @throws {AppError} TOO_MANY_STREAMS, DRAINING
 */
export function listen (options: ListenOptions, id: string | number, filter: Filter, caller: Caller): HttpResponse {
  const { events, streams, watched, info, offers, log } = options
  const { principal } = caller
  /** As it is now: permissions may change while the stream is open. */
  let current = principal
  const asked = Array.isArray(filter.resourceSubscriptions)
    ? filter.resourceSubscriptions.filter(uri => typeof uri === 'string')
    : []
  // Those that it may not read and those that are not there are left out alike.
  const uris = [...new Set(asked)].filter(uri => mayUse(principal, 'resource', uri) && offers(uri)).slice(0, MAX_URIS)
  const wishes: Subscription = {
    lists: new Set((['tools', 'prompts', 'resources'] as const).filter(list => filter[`${list}ListChanged`] === true)),
    uris: new Set(uris)
  }
  const honoured = {
    ...Object.fromEntries([...wishes.lists].map(list => [`${list}ListChanged`, true])),
    ...(uris.length === 0 ? {} : { resourceSubscriptions: uris })
  }
  const meta = { [SUBSCRIPTION_ID]: id }
  const stream = new EventStream(() => log.info({ principal: principal.id }, 'cut a reader that was too slow'))
  const say = (method: string, params: object = {}) =>
    stream.send({ jsonrpc: '2.0', method, params: { ...params, _meta: meta } } as JSONRPCMessage)

  const end = () => stream.end({
    jsonrpc: '2.0', id, result: { resultType: 'complete', _meta: { ...meta, [SERVER_INFO_META_KEY]: info } }
  } as JSONRPCMessage)
  const changed = (next: Principal) => {
    current = next
    for (const list of wishes.lists) say(`notifications/${list}/list_changed`)
  }
  const release = streams.open({ caller, tick: () => stream.tick(), cut: () => stream.cut(), end, changed })
  const stop = events.listen(change => {
    for (const { method, params } of noticesOf(change, wishes, current)) say(method, params)
  })
  const letGo = watched.hold(uris, principal)
  stream.onClose(() => {
    letGo()
    stop()
    release()
  })

  say('notifications/subscriptions/acknowledged', { notifications: honoured })
  if (Object.keys(honoured).length === 0) end()
  return { status: 200, headers: EVENT_STREAM_HEADERS, body: stream.body }
}
