// In the shape of the web_data tools of brightdata/brightdata-mcp: start, then ask again and again, with progress.
import { setTimeout as sleep } from 'node:timers/promises'
import { UserError, type FastMCP } from 'fastmcp'
import { z } from 'zod'
import { collect } from '../parts.ts'

const MOST = 10

export default (server: FastMCP): void => {
  server.addTool({
    name: 'web_data_product',
    description: 'Read the structured data of a product page. Requires a valid URL.',
    annotations: { title: 'Product', readOnlyHint: true, openWorldHint: true },
    parameters: z.object({ url: z.url(), reviews: z.boolean().default(false) }),
    execute: async ({ url, reviews }, { reportProgress }) => {
      if (!url.startsWith('https:')) throw new UserError('Only pages with https can be read')
      const page = collect(url)
      for (let attempt = 0; attempt < MOST; attempt++) {
        await reportProgress({ progress: attempt, total: MOST })
        const data = await page.ready()
        if (data !== undefined) return JSON.stringify({ ...data, reviews })
        await sleep(1)
      }
      throw new UserError(`No data after ${MOST} attempts`)
    }
  })
}
