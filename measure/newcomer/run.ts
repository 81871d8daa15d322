// `npm run measure newcomer`: for each recipe of CONTRIBUTING.md, the files that its reader opens.
// test/docs/recipes.test.ts holds that they exist, and that what is there already stands in no file that a recipe does not name.
import { recipes } from '../../test/support/recipes.ts'

for (const { name, files, special } of recipes()) {
  const more = special.length === 0 ? '' : `; in special cases ${special.join(', ')}`
  process.stdout.write(`${name}: ${files.length} to open: ${files.join(', ')}${more}\n`)
}
