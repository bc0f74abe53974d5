package store

import (
	"cmp"
	"strings"

	"grapnel/internal/awsapi"
)

// ECSServiceKey returns CLUSTER:SERVICE, whether a name or an ARN was given for either: one service has one key. It is also
// the id of the service as a target (service.md 1). An absent cluster is the one that ECS calls default.
func ECSServiceKey(s awsapi.ECSService) string {
	return cmp.Or(lastPart(s.ClusterName), "default") + ":" + lastPart(s.ServiceName)
}

// lastPart returns what follows the last slash of an ARN, and a plain name as it is.
func lastPart(nameOrARN *string) string {
	name := awsapi.Value(nameOrARN)
	return name[strings.LastIndexByte(name, '/')+1:]
}
