// A stock Go ttrpc server and client: what a unary call costs without Sluice.
//
//	ttrpcpair server
//	ttrpcpair client HOST:PORT CALLERS WARM-UP-SECONDS SECONDS
//
// The server prints its address; the client prints one line of JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"math"
	"net"
	"os"
	"sort"
	"strconv"
	"sync"
	"time"

	"github.com/containerd/ttrpc"
	"github.com/gogo/protobuf/proto"
)

const service = "grpc.health.v1.Health"

type request struct {
	Service string `protobuf:"bytes,1,opt,name=service,proto3"`
}

type response struct {
	Status int32 `protobuf:"varint,1,opt,name=status,proto3"`
}

func (m *request) Reset()          { *m = request{} }
func (m *request) String() string  { return fmt.Sprintf("%+v", *m) }
func (*request) ProtoMessage()     {}
func (m *response) Reset()         { *m = response{} }
func (m *response) String() string { return fmt.Sprintf("%+v", *m) }
func (*response) ProtoMessage()    {}

var _ proto.Message = (*request)(nil)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func serve() {
	server, err := ttrpc.NewServer()
	check(err)
	server.Register(service, map[string]ttrpc.Method{
		"Check": func(_ context.Context, unmarshal func(interface{}) error) (interface{}, error) {
			var asked request
			if err := unmarshal(&asked); err != nil {
				return nil, err
			}
			return &response{Status: 1}, nil
		},
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println(listener.Addr())
	check(server.Serve(context.Background(), listener))
}

func number(text string) float64 {
	value, err := strconv.ParseFloat(text, 64)
	check(err)
	return value
}

func call(words []string) {
	connection, err := net.Dial("tcp", words[0])
	check(err)
	client := ttrpc.NewClient(connection)
	callers := int(number(words[1]))
	warm, seconds := number(words[2]), number(words[3])
	begin := time.Now().Add(time.Duration(warm * float64(time.Second)))
	end := begin.Add(time.Duration(seconds * float64(time.Second)))
	latencies := make([][]float64, callers)
	var group sync.WaitGroup
	for caller := 0; caller < callers; caller++ {
		group.Add(1)
		go func(caller int) {
			defer group.Done()
			for {
				start := time.Now()
				if start.After(end) {
					return
				}
				var answer response
				check(client.Call(context.Background(), service, "Check", &request{}, &answer))
				now := time.Now()
				if now.After(begin) && now.Before(end) {
					took := float64(now.Sub(start)) / float64(time.Microsecond)
					latencies[caller] = append(latencies[caller], took)
				}
			}
		}(caller)
	}
	group.Wait()
	var all []float64
	for _, some := range latencies {
		all = append(all, some...)
	}
	sort.Float64s(all)
	var curve [][2]float64
	for _, point := range []float64{
		0, 10, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.9, 99.95, 99.99, 100,
	} {
		index := int(math.Ceil(float64(len(all))*point/100)) - 1
		if index < 0 {
			index = 0
		}
		curve = append(curve, [2]float64{point, all[index]})
	}
	check(json.NewEncoder(os.Stdout).Encode(map[string]interface{}{
		"rate": float64(len(all)) / seconds, "latencies": len(all), "curve_us": curve,
	}))
}

func main() {
	log.SetFlags(0)
	switch {
	case len(os.Args) == 2 && os.Args[1] == "server":
		serve()
	case len(os.Args) == 6 && os.Args[1] == "client":
		call(os.Args[2:])
	default:
		log.Fatal("usage: ttrpcpair server | client HOST:PORT CALLERS WARM-UP SECONDS")
	}
}
