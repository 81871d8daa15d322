import { setTimeout as sleep } from 'node:timers/promises'
import { defineTool, ToolError } from 'secure-mcp-server'
import { z } from 'zod'
import { collect } from '../parts.ts'

const MOST = 10

export default defineTool({
  name: 'web_data_product',
  description: 'Read the structured data of a product page. Requires a valid URL.',
  annotations: { title: 'Product', readOnlyHint: true, openWorldHint: true },
  input: z.object({ url: z.url(), reviews: z.boolean().default(false) }),
  run: async ({ url, reviews }, { progress }) => {
    if (!url.startsWith('https:')) throw new ToolError('Only pages with https can be read')
    const page = collect(url)
    for (let attempt = 0; attempt < MOST; attempt++) {
      progress(attempt, MOST)
      const data = await page.ready()
      if (data !== undefined) return JSON.stringify({ ...data, reviews })
      await sleep(1)
    }
    throw new ToolError(`No data after ${MOST} attempts`)
  }
})
