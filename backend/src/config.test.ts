import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clusterOf, readConfig } from './config.ts'

const required = {
  REGION: 'us',
  DATABASE_URL: 'postgres://u:p@localhost:5432/m',
  KAFKA_BROKERS: 'kafka-1:9092,kafka-2:9092',
}

test('defaults, also for variables that are empty', () => {
  const config = readConfig({ ...required, PORT: '', KAFKA_SOURCES: '' })
  assert.deepEqual([config.PORT, config.REGIONS, config.KAFKA_TOPIC_PARTITIONS], [3000, ['us', 'eu'], 6])
  assert.equal(clusterOf(config, 'eu'), required.KAFKA_BROKERS)
})

test('a cluster per source region', () => {
  const config = readConfig({ ...required, KAFKA_SOURCES: 'us=a:1;eu=b:2,c:3' })
  assert.deepEqual(
    [clusterOf(config, 'us'), clusterOf(config, 'eu'), clusterOf(config, 'ap')],
    ['a:1', 'b:2,c:3', required.KAFKA_BROKERS],
  )
})

test('every wrong setting is named', () => {
  const wrong = {
    REGION: 'US!',
    DATABASE_URL: 'mysql://x',
    KAFKA_BROKERS: 'kafka',
    PORT: '99999',
    LOG_LEVEL: 'loud',
    KAFKA_SOURCES: 'us',
  }
  assert.throws(
    () => readConfig(wrong),
    ({ message }: Error) => Object.keys(wrong).every((name) => message.includes(name)),
  )
  assert.throws(() => readConfig({}), /REGION.*\n.*DATABASE_URL.*\n.*KAFKA_BROKERS/)
  assert.throws(() => readConfig({ ...required, REGION: 'ap' }), /REGION: ap is not one of REGIONS/)
})
