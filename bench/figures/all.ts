/** All figures, in the order in which they are measured and reported. */

import type { Figure } from '../figure.ts'
import { put } from './put.ts'

export const figures: readonly Figure[] = [put]
