import { visible, type FoundResource } from '../../../tools/catalogue.ts'
import { Relayed } from '../../../tools/relayed.ts'
import { InputNeeded, type ResourceContents } from '../../../tools/tool.ts'
import type { HandledRequest } from '../host.ts'

export function listResources ({ catalogue, message: { principal } }: HandledRequest): object {
  return { resources: visible(catalogue.resources, 'resource', principal).map(({ listed }) => listed) }
}

export function listTemplates ({ catalogue, message: { principal } }: HandledRequest): object {
  return { resourceTemplates: visible(catalogue.templates, 'resource', principal).map(({ listed }) => listed) }
}

/** @throws {AppError} FORBIDDEN, INVALID_PARAMS */
export async function readResource (request: HandledRequest): Promise<object> {
  const uri = request.params.uri!
  const { offered: { resource }, variables } = request.allowed().offered as FoundResource
  const read = await resource.read({ uri, variables }, await request.context())
  if (read instanceof InputNeeded) return request.asked(read)
  if (read instanceof Relayed) return read.result
  return { contents: contentsOf(read, uri, resource.mimeType) }
}

/** @throws {AppError} FORBIDDEN, INVALID_PARAMS */
export async function subscribe (request: HandledRequest): Promise<object> {
  request.allowed()
  await request.session?.subscribe(request.params.uri!)
  return {}
}

/** @throws {AppError} FORBIDDEN */
export async function unsubscribe (request: HandledRequest): Promise<object> {
  request.allowed()
  await request.session?.unsubscribe(request.params.uri!)
  return {}
}

function contentsOf (
  read: string | Uint8Array | readonly ResourceContents[],
  uri: string,
  mimeType: string | undefined
): readonly ResourceContents[] {
  const type = mimeType === undefined ? {} : { mimeType }
  if (typeof read === 'string') return [{ uri, ...type, text: read }]
  if (read instanceof Uint8Array) return [{ uri, ...type, blob: Buffer.from(read).toString('base64') }]
  return read
}
