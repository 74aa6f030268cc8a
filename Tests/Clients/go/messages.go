package main

import (
	"fmt"

	"github.com/gogo/protobuf/proto"
)

// The messages of Sluice that the tests use, as gogo/protobuf reads them from struct tags: numbers
// and types as in Proto/. Written by hand, so that no generator has to be installed.

type healthCheckRequest struct {
	Service string `protobuf:"bytes,1,opt,name=service,proto3"`
}

type healthCheckResponse struct {
	Status int32 `protobuf:"varint,1,opt,name=status,proto3"`
}

type resolveEntitiesRequest struct {
	ExternalKey  [][]byte `protobuf:"bytes,1,rep,name=external_key,proto3"`
	ExistingOnly bool     `protobuf:"varint,2,opt,name=existing_only,proto3"`
}

type resolveEntitiesResponse struct {
	EntityID []int64 `protobuf:"fixed64,1,rep,packed,name=entity_id,proto3"`
}

type attributeSpec struct {
	Name      []byte `protobuf:"bytes,1,opt,name=name,proto3"`
	ValueType int32  `protobuf:"varint,2,opt,name=value_type,proto3"`
	Unit      []byte `protobuf:"bytes,3,opt,name=unit,proto3"`
	IsHot     bool   `protobuf:"varint,4,opt,name=is_hot,proto3"`
}

type resolveAttributesRequest struct {
	Attributes []*attributeSpec `protobuf:"bytes,1,rep,name=attributes,proto3"`
}

type attribute struct {
	AttributeID uint32 `protobuf:"fixed32,1,opt,name=attribute_id,proto3"`
	Name        string `protobuf:"bytes,2,opt,name=name,proto3"`
	ValueType   int32  `protobuf:"varint,3,opt,name=value_type,proto3"`
	Unit        string `protobuf:"bytes,4,opt,name=unit,proto3"`
	IsHot       bool   `protobuf:"varint,5,opt,name=is_hot,proto3"`
}

type resolveAttributesResponse struct {
	Attributes []*attribute `protobuf:"bytes,1,rep,name=attributes,proto3"`
}

type readOptions struct {
	Level int32 `protobuf:"varint,1,opt,name=level,proto3"`
}

// The choice of GetEntityRequest: on the wire it is the same as a field that is sent or not.
type getEntityRequest struct {
	EntityID    int64        `protobuf:"fixed64,1,opt,name=entity_id,proto3"`
	ExternalKey []byte       `protobuf:"bytes,2,opt,name=external_key,proto3"`
	Read        *readOptions `protobuf:"bytes,3,opt,name=read,proto3"`
}

type hotValue struct {
	AttributeID      uint32 `protobuf:"fixed32,1,opt,name=attribute_id,proto3"`
	Name             string `protobuf:"bytes,2,opt,name=name,proto3"`
	ObservedAtUnixUs int64  `protobuf:"fixed64,4,opt,name=observed_at_unix_us,proto3"`
}

type entity struct {
	EntityID    int64       `protobuf:"fixed64,1,opt,name=entity_id,proto3"`
	ExternalKey string      `protobuf:"bytes,2,opt,name=external_key,proto3"`
	Version     int64       `protobuf:"varint,3,opt,name=version,proto3"`
	Values      []*hotValue `protobuf:"bytes,4,rep,name=values,proto3"`
}

type freshness struct {
	Source           int32  `protobuf:"varint,1,opt,name=source,proto3"`
	Node             string `protobuf:"bytes,2,opt,name=node,proto3"`
	AsOfToken        []byte `protobuf:"bytes,3,opt,name=as_of_token,proto3"`
	StalenessBoundMs int64  `protobuf:"varint,4,opt,name=staleness_bound_ms,proto3"`
}

type getEntityResponse struct {
	Entity    *entity    `protobuf:"bytes,1,opt,name=entity,proto3"`
	Freshness *freshness `protobuf:"bytes,2,opt,name=freshness,proto3"`
}

type errorInfo struct {
	Reason   string            `protobuf:"bytes,1,opt,name=reason,proto3"`
	Domain   string            `protobuf:"bytes,2,opt,name=domain,proto3"`
	Metadata map[string]string `protobuf:"bytes,3,rep,name=metadata,proto3" protobuf_key:"bytes,1,opt,name=key,proto3" protobuf_val:"bytes,2,opt,name=value,proto3"`
}

type duration struct {
	Seconds int64 `protobuf:"varint,1,opt,name=seconds,proto3"`
	Nanos   int32 `protobuf:"varint,2,opt,name=nanos,proto3"`
}

type retryInfo struct {
	RetryDelay *duration `protobuf:"bytes,1,opt,name=retry_delay,proto3"`
}

type fieldViolation struct {
	Field       string `protobuf:"bytes,1,opt,name=field,proto3"`
	Description string `protobuf:"bytes,2,opt,name=description,proto3"`
}

type badRequest struct {
	FieldViolations []*fieldViolation `protobuf:"bytes,1,rep,name=field_violations,proto3"`
}

func (m *healthCheckRequest) Reset()         { *m = healthCheckRequest{} }
func (m *healthCheckRequest) String() string { return fmt.Sprintf("%+v", *m) }
func (*healthCheckRequest) ProtoMessage()    {}

func (m *healthCheckResponse) Reset()         { *m = healthCheckResponse{} }
func (m *healthCheckResponse) String() string { return fmt.Sprintf("%+v", *m) }
func (*healthCheckResponse) ProtoMessage()    {}

func (m *resolveEntitiesRequest) Reset()         { *m = resolveEntitiesRequest{} }
func (m *resolveEntitiesRequest) String() string { return fmt.Sprintf("%+v", *m) }
func (*resolveEntitiesRequest) ProtoMessage()    {}

func (m *resolveEntitiesResponse) Reset()         { *m = resolveEntitiesResponse{} }
func (m *resolveEntitiesResponse) String() string { return fmt.Sprintf("%+v", *m) }
func (*resolveEntitiesResponse) ProtoMessage()    {}

func (m *attributeSpec) Reset()         { *m = attributeSpec{} }
func (m *attributeSpec) String() string { return fmt.Sprintf("%+v", *m) }
func (*attributeSpec) ProtoMessage()    {}

func (m *resolveAttributesRequest) Reset()         { *m = resolveAttributesRequest{} }
func (m *resolveAttributesRequest) String() string { return fmt.Sprintf("%+v", *m) }
func (*resolveAttributesRequest) ProtoMessage()    {}

func (m *attribute) Reset()         { *m = attribute{} }
func (m *attribute) String() string { return fmt.Sprintf("%+v", *m) }
func (*attribute) ProtoMessage()    {}

func (m *resolveAttributesResponse) Reset()         { *m = resolveAttributesResponse{} }
func (m *resolveAttributesResponse) String() string { return fmt.Sprintf("%+v", *m) }
func (*resolveAttributesResponse) ProtoMessage()    {}

func (m *readOptions) Reset()         { *m = readOptions{} }
func (m *readOptions) String() string { return fmt.Sprintf("%+v", *m) }
func (*readOptions) ProtoMessage()    {}

func (m *getEntityRequest) Reset()         { *m = getEntityRequest{} }
func (m *getEntityRequest) String() string { return fmt.Sprintf("%+v", *m) }
func (*getEntityRequest) ProtoMessage()    {}

func (m *hotValue) Reset()         { *m = hotValue{} }
func (m *hotValue) String() string { return fmt.Sprintf("%+v", *m) }
func (*hotValue) ProtoMessage()    {}

func (m *entity) Reset()         { *m = entity{} }
func (m *entity) String() string { return fmt.Sprintf("%+v", *m) }
func (*entity) ProtoMessage()    {}

func (m *freshness) Reset()         { *m = freshness{} }
func (m *freshness) String() string { return fmt.Sprintf("%+v", *m) }
func (*freshness) ProtoMessage()    {}

func (m *getEntityResponse) Reset()         { *m = getEntityResponse{} }
func (m *getEntityResponse) String() string { return fmt.Sprintf("%+v", *m) }
func (*getEntityResponse) ProtoMessage()    {}

func (m *errorInfo) Reset()         { *m = errorInfo{} }
func (m *errorInfo) String() string { return fmt.Sprintf("%+v", *m) }
func (*errorInfo) ProtoMessage()    {}

func (m *duration) Reset()         { *m = duration{} }
func (m *duration) String() string { return fmt.Sprintf("%+v", *m) }
func (*duration) ProtoMessage()    {}

func (m *retryInfo) Reset()         { *m = retryInfo{} }
func (m *retryInfo) String() string { return fmt.Sprintf("%+v", *m) }
func (*retryInfo) ProtoMessage()    {}

func (m *fieldViolation) Reset()         { *m = fieldViolation{} }
func (m *fieldViolation) String() string { return fmt.Sprintf("%+v", *m) }
func (*fieldViolation) ProtoMessage()    {}

func (m *badRequest) Reset()         { *m = badRequest{} }
func (m *badRequest) String() string { return fmt.Sprintf("%+v", *m) }
func (*badRequest) ProtoMessage()    {}

var _ proto.Message = (*badRequest)(nil)
