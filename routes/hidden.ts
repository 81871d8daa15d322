import type { FastifySchema } from 'fastify'

/** Leaves a route out of the OpenAPI description (@fastify/swagger) of the app around this service. */
export const HIDDEN: FastifySchema & { readonly hide: true } = { hide: true }
