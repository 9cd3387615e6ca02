import { Publisher } from './publisher.ts'
import { Reader } from './reader.ts'
import { ensureTopic, type TopicDescription, type TopicSettings } from './topic.ts'

/** The topic of one cluster, with all that is done to it. */
export const kafkaEventLog = (settings: TopicSettings) => ({
  cluster: settings.brokers,
  ensureTopic: () => ensureTopic(settings),
  openPublisher: () => new Publisher(settings),
  openReader: (topic: TopicDescription) => new Reader(settings.brokers, topic),
})
