/** All figures, in the order in which they are measured and reported. */

import type { Figure } from '../figure.ts'
import { backends } from './backends.ts'
import { catchUp } from './catch-up.ts'
import { get } from './get.ts'
import { hotWrites } from './hot.ts'
import { latency } from './latency.ts'
import { memory } from './memory.ts'
import { put } from './put.ts'
import { ageing, scale } from './scale.ts'
import { start } from './start.ts'
import { throughNginx } from './through-nginx.ts'
import { visible } from './visible.ts'

export const figures: readonly Figure[] = [
  put,
  hotWrites,
  get,
  latency,
  backends,
  throughNginx,
  visible,
  catchUp,
  memory,
  scale,
  ageing,
  start,
]
