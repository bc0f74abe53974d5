package api_test

import (
	"strings"
	"testing"

	"grapnel/internal/awsapi"
)

func TestResourceTags(t *testing.T) {
	t.Parallel()
	s := serve(t)
	do[fields](s, "CreateApplication", fields{"applicationName": "shop", "tags": []fields{{"Key": "team", "Value": "a"}}})
	do[fields](s, "CreateDeploymentGroup", group("shop", "prod", fields{"tags": []fields{{"Key": "team", "Value": "b"}}}))
	tags := func(arn string) (list []string) {
		s.Helper()
		for _, t := range do[awsapi.ListTagsForResourceOutput](s, "ListTagsForResource", fields{"ResourceArn": prefix + arn}).Tags {
			list = append(list, *t.Key+"="+*t.Value)
		}
		return list
	}
	application, deploymentGroup := "application:shop", "deploymentgroup:shop/prod"
	do[fields](s, "TagResource", fields{"ResourceArn": prefix + application, "Tags": []fields{{"Key": "team", "Value": "c"}, {"Key": "cost"}}})
	s.equal("application", tags(application), []string{"team=c", "cost="})
	s.equal("group", tags(deploymentGroup), []string{"team=b"})
	do[fields](s, "UntagResource", fields{"ResourceArn": prefix + deploymentGroup, "TagKeys": []string{"team", "none"}})
	s.equal("group without tags", do[fields](s, "ListTagsForResource", fields{"ResourceArn": prefix + deploymentGroup}), fields{"Tags": []any{}})
	s.equal("the rest of the group stays", *s.group("shop", "prod").ServiceRoleArn, role)

	var many []fields
	for _, key := range names("k", 49) {
		many = append(many, fields{"Key": key, "Value": "v"})
	}
	tag := func(name, arn string, tags []fields, want string) refusal {
		return refusal{name, "TagResource", fields{"ResourceArn": arn, "Tags": tags}, want}
	}
	one := []fields{{"Key": "k", "Value": "v"}}
	s.refuse([]refusal{
		tag("no ARN", "", one, "ResourceArnRequired"),
		tag("no tags", prefix+application, nil, "TagRequired"),
		tag("51 tags", prefix+application, many, "InvalidTagsToAdd"),
		tag("a key twice", prefix+application, append(one, one...), "InvalidTagsToAdd"),
		tag("other account", "arn:aws:codedeploy:us-east-1:111111111111:application:shop", one, "InvalidArn"),
		tag("other service", "arn:aws:s3:::shop", one, "InvalidArn"),
		tag("no group", prefix+"deploymentgroup:shop", one, "InvalidArn"),
		tag("slash in an application", prefix+"application:shop/prod", one, "InvalidArn"),
		tag("instance", prefix+"instance/web1", one, "ArnNotSupported"),
		tag("long", prefix+"application:"+strings.Repeat("a", 1000), one, "InvalidArn"),
		tag("config", prefix+"deploymentconfig:CodeDeployDefault.OneAtATime", one, "ArnNotSupported"),
		tag("unknown application", prefix+"application:none", one, "ApplicationDoesNotExist"),
		tag("unknown group", prefix+"deploymentgroup:shop/none", one, "DeploymentGroupDoesNotExist"),
		{"unknown application", "ListTagsForResource", fields{"ResourceArn": prefix + "application:none"}, "InvalidArn"},
		{"no keys", "UntagResource", fields{"ResourceArn": prefix + application}, "TagRequired"},
		{"too many at the start", "CreateApplication", fields{"applicationName": "x", "tags": append(many, append(one, fields{"Key": "l"})...)}, "InvalidTagsToAdd"},
	})
}
