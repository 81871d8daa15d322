// Resources that the official conformance suite reads.
import { defineResource } from 'secure-mcp-server'
import { PNG } from './_media.mjs'

export default [
  defineResource({
    uri: 'test://static-text',
    name: 'Static text',
    mimeType: 'text/plain',
    read: () => 'This is the content of the static text resource.'
  }),

  defineResource({
    uri: 'test://static-binary',
    name: 'Static picture',
    mimeType: 'image/png',
    read: () => Buffer.from(PNG, 'base64')
  }),

  defineResource({
    uri: 'test://watched-resource',
    name: 'Watched resource',
    mimeType: 'text/plain',
    read: () => 'Watched.'
  }),

  defineResource({
    uri: 'test://template/{id}/data',
    name: 'Data by id',
    mimeType: 'application/json',
    complete: { id: typed => ['1', '12', '123'].filter(id => id.startsWith(typed)) },
    read: ({ variables: { id } }) => JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` })
  })
]
