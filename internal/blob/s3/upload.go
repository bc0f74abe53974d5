package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"grapnel/internal/blob"
)

// CreateUpload implements blob.Multipart.
func (s *Store) CreateUpload(ctx context.Context, bucket, key string, attrs *blob.Attributes) (string, error) {
	name, err := s.place(ctx, bucket, key)
	if err != nil {
		return "", err
	}
	headers := describing(attrs)
	if sum := attrs.Checksum; sum != nil {
		headers.Set(checksumPrefix+"Algorithm", string(sum.Algorithm))
		headers.Set(checksumPrefix+"Type", checksumType(sum.Composite))
	}
	out, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &s.bucket, Key: &name}, with(headers))
	if err != nil {
		return "", fmt.Errorf("create upload of %s/%s: %w", bucket, key, translate(err))
	}
	return aws.ToString(out.UploadId), nil
}

func checksumType(composite bool) string {
	if composite {
		return string(types.ChecksumTypeComposite)
	}
	return string(types.ChecksumTypeFullObject)
}

// PutPart implements blob.Multipart.
func (s *Store) PutPart(ctx context.Context, u blob.Upload, number int, body io.Reader, attrs *blob.Attributes) (blob.Part, error) {
	if number < 1 || number > blob.MaxParts {
		return blob.Part{}, fmt.Errorf("%w: its number must be 1 to %d", blob.ErrPart, blob.MaxParts)
	}
	name, err := s.upload(ctx, u)
	if err != nil {
		return blob.Part{}, err
	}
	part, err := s.putPart(ctx, name, u.ID, number, body, attrs)
	if err != nil {
		return blob.Part{}, fmt.Errorf("put part %d of %s/%s: %w", number, u.Bucket, u.Key, err)
	}
	return part, nil
}

func (s *Store) putPart(ctx context.Context, name, id string, number int, body io.Reader, attrs *blob.Attributes) (blob.Part, error) {
	b, err := s.receive(body)
	if err != nil {
		return blob.Part{}, err
	}
	defer b.Close()
	headers := http.Header{}
	b.prove(headers, attrs.Checksum)
	out, err := s.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &s.bucket, Key: &name, UploadId: &id, PartNumber: aws.Int32(int32(number)), Body: b.File, ContentLength: &b.size,
	}, with(headers))
	if err == nil {
		err = genuine(out.ETag)
	}
	if err != nil {
		return blob.Part{}, translate(err)
	}
	return blob.Part{
		Number: number, Size: b.size, ETag: unquote(aws.ToString(out.ETag)), Modified: modified(received(out.ResultMetadata)), Checksum: attrs.Checksum,
	}, nil
}

// upload is the external key of an upload.
func (s *Store) upload(ctx context.Context, u blob.Upload) (string, error) {
	if u.ID == "" {
		return "", noUpload(u)
	}
	return s.place(ctx, u.Bucket, u.Key)
}

func noUpload(u blob.Upload) error {
	return fmt.Errorf("%w: %q of %s/%s", blob.ErrNoUpload, u.ID, u.Bucket, u.Key)
}

// ListParts implements blob.Multipart.
func (s *Store) ListParts(ctx context.Context, u blob.Upload) ([]blob.Part, *blob.Checksum, error) {
	name, err := s.upload(ctx, u)
	if err != nil {
		return nil, nil, err
	}
	var parts []blob.Part
	var sum *blob.Checksum
	pages := s3.NewListPartsPaginator(s.client, &s3.ListPartsInput{Bucket: &s.bucket, Key: &name, UploadId: &u.ID})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("list parts of %s/%s: %w", u.Bucket, u.Key, translate(err))
		}
		sum = announced(page.ChecksumAlgorithm, page.ChecksumType)
		for _, p := range page.Parts {
			parts = append(parts, blob.Part{
				Number: int(aws.ToInt32(p.PartNumber)), Size: aws.ToInt64(p.Size), ETag: unquote(aws.ToString(p.ETag)),
				Modified: aws.ToTime(p.LastModified).UTC(),
				Checksum: first(p.ChecksumCRC32, p.ChecksumCRC32C, p.ChecksumCRC64NVME, p.ChecksumSHA1, p.ChecksumSHA256),
			})
		}
	}
	return parts, sum, nil
}

// announced is the kind of checksum that an upload will have.
func announced(a types.ChecksumAlgorithm, kind types.ChecksumType) *blob.Checksum {
	if a == "" {
		return nil
	}
	return &blob.Checksum{Algorithm: blob.Algorithm(a), Composite: kind == types.ChecksumTypeComposite}
}

// first is the one of the checksums, given in the order of blob.Algorithms, that is there.
func first(values ...*string) *blob.Checksum {
	for i, a := range blob.Algorithms() {
		if value := aws.ToString(values[i]); value != "" {
			return newChecksum(a, value)
		}
	}
	return nil
}

// CompleteUpload implements blob.Multipart. Whether an upload can be completed twice is up to the external store.
func (s *Store) CompleteUpload(ctx context.Context, u blob.Upload, listed []blob.Part, want string, when blob.Condition) (blob.Object, error) {
	name, err := s.upload(ctx, u)
	if err != nil {
		return blob.Object{}, err
	}
	stored, sum, err := s.ListParts(ctx, u)
	if err == nil {
		listed, err = blob.CheckParts(believe(stored, listed), listed)
	}
	if err != nil && !errors.Is(err, blob.ErrNoUpload) {
		return blob.Object{}, err
	}
	headers := http.Header{}
	setCondition(headers, when)
	if want != "" && sum != nil {
		headers.Set(checksumPrefix+string(sum.Algorithm), want)
		headers.Set(checksumPrefix+"Type", checksumType(sum.Composite))
	}
	out, err := s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &s.bucket, Key: &name, UploadId: &u.ID, MultipartUpload: &types.CompletedMultipartUpload{Parts: completed(listed)},
	}, with(headers))
	if err == nil {
		err = genuine(out.ETag)
	}
	if err != nil {
		return blob.Object{}, fmt.Errorf("complete upload of %s/%s: %w", u.Bucket, u.Key, translate(err))
	}
	o := blob.Object{
		Key: u.Key, ETag: unquote(aws.ToString(out.ETag)), Modified: modified(received(out.ResultMetadata)), Upload: u.ID,
		Version: aws.ToString(out.VersionId),
	}
	for _, p := range listed {
		o.Size += p.Size
		o.Parts = append(o.Parts, p.Size)
	}
	o.Checksum = first(out.ChecksumCRC32, out.ChecksumCRC32C, out.ChecksumCRC64NVME, out.ChecksumSHA1, out.ChecksumSHA256)
	return o, nil
}

// believe takes the client's word for checksums that the store does not list, and checks itself.
func believe(stored, listed []blob.Part) []blob.Part {
	said := map[int]*blob.Checksum{}
	for _, p := range listed {
		said[p.Number] = p.Checksum
	}
	for i, p := range stored {
		if p.Checksum == nil {
			stored[i].Checksum = said[p.Number]
		}
	}
	return stored
}

func completed(parts []blob.Part) []types.CompletedPart {
	list := make([]types.CompletedPart, len(parts))
	for i, p := range parts {
		list[i] = types.CompletedPart{PartNumber: aws.Int32(int32(p.Number)), ETag: aws.String(strconv.Quote(p.ETag))}
		if p.Checksum == nil {
			continue
		}
		fields := []**string{
			&list[i].ChecksumCRC32, &list[i].ChecksumCRC32C, &list[i].ChecksumCRC64NVME, &list[i].ChecksumSHA1, &list[i].ChecksumSHA256,
		}
		*fields[slices.Index(blob.Algorithms(), p.Checksum.Algorithm)] = &p.Checksum.Value
	}
	return list
}

// AbortUpload implements blob.Multipart.
func (s *Store) AbortUpload(ctx context.Context, u blob.Upload) error {
	name, err := s.upload(ctx, u)
	if err != nil {
		return err
	}
	out, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.bucket, Key: &name, UploadId: &u.ID})
	if err == nil {
		err = genuineDelete(out.ResultMetadata)
	}
	if err != nil {
		return fmt.Errorf("abort upload of %s/%s: %w", u.Bucket, u.Key, translate(err))
	}
	return nil
}

// ListUploads implements blob.Multipart.
func (s *Store) ListUploads(ctx context.Context, bucket, prefix string) ([]blob.UnfinishedUpload, error) {
	if err := s.exists(ctx, bucket); err != nil {
		return nil, err
	}
	base := s.base(bucket)
	decode := decoder(base, "")
	var uploads []blob.UnfinishedUpload
	for u, err := range s.uploads(ctx, base+prefix) {
		if err != nil {
			return nil, fmt.Errorf("list uploads of %s: %w", bucket, err)
		}
		uploads = append(uploads, blob.UnfinishedUpload{
			Upload:  blob.Upload{Bucket: bucket, Key: decode(u.Key), ID: aws.ToString(u.UploadId)},
			Started: aws.ToTime(u.Initiated).UTC(), Checksum: announced(u.ChecksumAlgorithm, u.ChecksumType),
		})
	}
	slices.SortStableFunc(uploads, func(a, b blob.UnfinishedUpload) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), a.Started.Compare(b.Started))
	})
	return uploads, nil
}

// uploads goes through the unfinished uploads of external keys that begin with prefix.
func (s *Store) uploads(ctx context.Context, prefix string) iter.Seq2[types.MultipartUpload, error] {
	return func(yield func(types.MultipartUpload, error) bool) {
		pages := s3.NewListMultipartUploadsPaginator(s.client, &s3.ListMultipartUploadsInput{Bucket: &s.bucket, Prefix: &prefix})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(types.MultipartUpload{}, translate(err))
				return
			}
			for _, u := range page.Uploads {
				if !yield(u, nil) {
					return
				}
			}
		}
	}
}
