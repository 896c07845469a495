package lab

import "path/filepath"

// DemoImages are the three images of examples/shop. programs is the directory that
// holds its web and api, built without cgo.
func DemoImages(programs string) []Image {
	redis := Redis()
	redis.Name = "shoal-demo/redis"
	return []Image{
		{
			Name: "shoal-demo/web", Programs: map[string]string{"/web": filepath.Join(programs, "web")},
			Changes: []string{"EXPOSE 8080", "USER 65534", `ENTRYPOINT ["/web"]`},
		},
		{
			Name: "shoal-demo/api", Programs: map[string]string{"/api": filepath.Join(programs, "api")},
			Changes: []string{"EXPOSE 8081", "USER 65534", `ENTRYPOINT ["/api"]`},
		},
		redis,
	}
}
