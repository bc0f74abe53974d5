// Package notify tells the topics of triggers what happens to deployments (service.md 6.3), through any service that speaks
// the protocol of Amazon SNS.
//
//	transaction of a deployment ─► queue of each topic in the store ─► Take ─► put into words, Publish ─► Drop
//	                                          ▲                                       │ not taken
//	                                          └──────── Delay: longer each time ──────┘ for a day, then Drop
//
// The queue holds facts, written with what makes them true. A notice leaves it when its topic has taken the message, so that a
// server which is killed in between sends it again after its restart: a topic hears everything at least once, and in order.
// Each topic has a queue of its own, so one that does not answer holds up no other; and nothing here can reach a deployment.
// Several servers may share the queue: who takes a notice has it for a while alone.
package notify
