package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/containerd/ttrpc"
	"google.golang.org/grpc/codes"
)

func runTests() {
	client := connect()
	defer client.Close()

	test("health: Check says SERVING", func() error { return expectServing(client) })

	test("health: Check of every service says SERVING", func() error {
		for _, name := range []string{"Ingest", "Catalog", "Entity", "History", "Admin"} {
			status, err := check(client, "sluice.v1."+name+"Service")
			if err != nil || status != serving {
				return fmt.Errorf("%s: status %d, %v", name, status, err)
			}
		}
		return nil
	})

	test("health: an unknown service is NOT_FOUND with ErrorInfo", func() error {
		_, err := check(client, "no.such.Service")
		_, err = expectError(err, codes.NotFound, "")
		return err
	})

	test("unknown services and methods are UNIMPLEMENTED", func() error {
		for _, name := range [][2]string{{"no.such.Service", "Check"}, {healthService, "NoSuch"}} {
			ctx, cancel := seconds(10)
			err := client.Call(ctx, name[0], name[1], &healthCheckRequest{}, &healthCheckResponse{})
			cancel()
			if _, err := expectError(err, codes.Unimplemented, ""); err != nil {
				return err
			}
		}
		return nil
	})

	test("ResolveEntities creates once and answers in order", func() error {
		keys := []string{unique(), unique(), "ключ-" + unique()}
		first, err := resolve(client, keys...)
		if err != nil {
			return err
		}
		second, err := resolve(client, keys[2], keys[0], keys[1], keys[0])
		if err != nil {
			return err
		}
		wanted := []int64{first[2], first[0], first[1], first[0]}
		if fmt.Sprint(second) != fmt.Sprint(wanted) {
			return fmt.Errorf("%v, expected %v", second, wanted)
		}
		return nil
	})

	test("ResolveEntities takes and answers 10,000 long keys in one call", func() error {
		keys := make([]string, 10_000)
		prefix := unique() + strings.Repeat("x", 300)
		for index := range keys {
			keys[index] = fmt.Sprintf("%s-%d", prefix, index)
		}
		ids, err := resolve(client, keys...)
		if err != nil {
			return err
		}
		different := map[int64]bool{}
		for _, id := range ids {
			different[id] = true
		}
		if len(different) != len(keys) {
			return fmt.Errorf("%d different ids", len(different))
		}
		return nil
	})

	test("ResolveAttributes creates with type, unit and heat", func() error {
		name := unique()
		answer, err := resolveAttribute(client, name, typeNumber)
		if err != nil {
			return err
		}
		if len(answer.Attributes) != 1 {
			return fmt.Errorf("answer: %v", answer)
		}
		found := answer.Attributes[0]
		if found.Name != name || found.ValueType != typeNumber || found.Unit != "Cel" ||
			!found.IsHot || found.AttributeID == 0 {
			return fmt.Errorf("attribute: %v", found)
		}
		return nil
	})

	test("ResolveAttributes: another type is FAILED_PRECONDITION, ATTRIBUTE_TYPE_MISMATCH", func() error {
		name := unique()
		if _, err := resolveAttribute(client, name, typeNumber); err != nil {
			return err
		}
		_, err := resolveAttribute(client, name, typeLabel)
		_, err = expectError(err, codes.FailedPrecondition, "ATTRIBUTE_TYPE_MISMATCH")
		return err
	})

	test("GetEntity answers an entity with the proof of its freshness", func() error {
		key := unique()
		ids, err := resolve(client, key)
		if err != nil {
			return err
		}
		for _, request := range []*getEntityRequest{
			{EntityID: ids[0], Read: &readOptions{Level: levelStrong}},
			{ExternalKey: []byte(key), Read: &readOptions{Level: levelStrong}},
		} {
			ctx, cancel := seconds(10)
			answer := &getEntityResponse{}
			err := client.Call(ctx, entityService, "GetEntity", request, answer)
			cancel()
			if err != nil {
				return err
			}
			if answer.Entity == nil || answer.Entity.EntityID != ids[0] ||
				answer.Entity.ExternalKey != key {
				return fmt.Errorf("entity: %v", answer.Entity)
			}
			if answer.Freshness == nil || answer.Freshness.Source != primary ||
				len(answer.Freshness.AsOfToken) == 0 {
				return fmt.Errorf("freshness: %v", answer.Freshness)
			}
		}
		return nil
	})

	test("GetEntity: an unknown entity is NOT_FOUND, ENTITY_NOT_FOUND", func() error {
		ctx, cancel := seconds(10)
		defer cancel()
		request := &getEntityRequest{
			ExternalKey: []byte(unique()), Read: &readOptions{Level: levelStrong},
		}
		err := client.Call(ctx, entityService, "GetEntity", request, &getEntityResponse{})
		_, err = expectError(err, codes.NotFound, "ENTITY_NOT_FOUND")
		return err
	})

	test("INVALID_ARGUMENT names the field in google.rpc.BadRequest", func() error {
		_, err := resolve(client, "good", "")
		found, err := expectError(err, codes.InvalidArgument, "")
		if err != nil {
			return err
		}
		if found.bad == nil || len(found.bad.FieldViolations) == 0 {
			return errors.New("no field violations")
		}
		if !strings.Contains(found.bad.FieldViolations[0].Field, "external_key") {
			return fmt.Errorf("field: %v", found.bad.FieldViolations[0])
		}
		return nil
	})

	test("a request over 4 MiB is RESOURCE_EXHAUSTED with RetryInfo, and the connection lives", func() error {
		keys := make([]string, 9_000)
		for index := range keys {
			keys[index] = strings.Repeat("y", 500)
		}
		_, err := resolve(client, keys...)
		found, err := expectError(err, codes.ResourceExhausted, "")
		if err != nil {
			return err
		}
		if found.retry == nil || found.retry.RetryDelay == nil {
			return errors.New("no RetryInfo")
		}
		return expectServing(client)
	})

	test("100 concurrent calls on one connection each get their own answer", func() error {
		var group sync.WaitGroup
		problems := make(chan error, 1000)
		for caller := 0; caller < 100; caller++ {
			group.Add(1)
			go func() {
				defer group.Done()
				keys := []string{unique(), unique()}
				first, err := resolve(client, keys...)
				if err != nil {
					problems <- err
					return
				}
				second, err := resolve(client, keys[1], keys[0])
				if err != nil {
					problems <- err
					return
				}
				if first[0] == first[1] || first[0] != second[1] || first[1] != second[0] {
					problems <- fmt.Errorf("%v, then %v", first, second)
				}
				if err := expectServing(client); err != nil {
					problems <- err
				}
			}()
		}
		group.Wait()
		close(problems)
		return <-problems
	})

	test("a context's deadline ends the call on time, and the connection goes on", func() error {
		return locked("sluice.entities", func(letGo func()) error {
			ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
			defer cancel()
			start := time.Now()
			request := &resolveEntitiesRequest{ExternalKey: [][]byte{[]byte(unique())}}
			err := client.Call(
				ctx, catalogService, "ResolveEntities", request, &resolveEntitiesResponse{})
			if took := time.Since(start); took > 2*time.Second {
				return fmt.Errorf("it took %v", took)
			}
			// The client's own clock and the gateway's answer race; both mean the same.
			if !errors.Is(err, context.DeadlineExceeded) {
				if _, err := expectError(err, codes.DeadlineExceeded, ""); err != nil {
					return err
				}
			}
			if err := expectServing(client); err != nil {
				return err
			}
			letGo()
			_, err = resolve(client, unique())
			return err
		})
	})

	test("the gateway keeps the deadline by itself and answers DEADLINE_EXCEEDED", func() error {
		// The gateway is told 200 ms, the client waits for 10 s.
		impatient := connect(ttrpc.WithUnaryClientInterceptor(func(
			ctx context.Context, request *ttrpc.Request, response *ttrpc.Response,
			_ *ttrpc.UnaryClientInfo, invoke ttrpc.Invoker,
		) error {
			request.TimeoutNano = int64(200 * time.Millisecond)
			return invoke(ctx, request, response)
		}))
		defer impatient.Close()
		return locked("sluice.entities", func(func()) error {
			start := time.Now()
			_, err := resolve(impatient, unique())
			took := time.Since(start)
			if _, err := expectError(err, codes.DeadlineExceeded, ""); err != nil {
				return err
			}
			if took < 190*time.Millisecond || took > 2*time.Second {
				return fmt.Errorf("it took %v", took)
			}
			return expectServing(impatient)
		})
	})

	test("metadata of the context goes along and harms nothing", func() error {
		ctx, cancel := seconds(10)
		defer cancel()
		metadata := ttrpc.MD{}
		metadata.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		metadata.Set("list", "a", "b")
		answer := &healthCheckResponse{}
		err := client.Call(
			ttrpc.WithMetadata(ctx, metadata), healthService, "Check", &healthCheckRequest{}, answer)
		if err == nil && answer.Status != serving {
			err = fmt.Errorf("status %d", answer.Status)
		}
		return err
	})

	test("twenty connections make calls at once", func() error {
		var group sync.WaitGroup
		problems := make(chan error, 1000)
		for number := 0; number < 20; number++ {
			group.Add(1)
			go func() {
				defer group.Done()
				own := connect()
				defer own.Close()
				for call := 0; call < 20; call++ {
					if err := expectServing(own); err != nil {
						problems <- err
					}
				}
			}()
		}
		group.Wait()
		close(problems)
		return <-problems
	})
}

func resolveAttribute(
	client *ttrpc.Client, name string, valueType int32,
) (*resolveAttributesResponse, error) {
	ctx, cancel := seconds(10)
	defer cancel()
	request := &resolveAttributesRequest{Attributes: []*attributeSpec{
		{Name: []byte(name), ValueType: valueType, Unit: []byte("Cel"), IsHot: true},
	}}
	answer := &resolveAttributesResponse{}
	err := client.Call(ctx, catalogService, "ResolveAttributes", request, answer)
	return answer, err
}
