package compose

import (
	"math"
	"slices"
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"

	"shoal/job"
)

// gpus reads how much of GPUs a service needs: `gpus`, the devices of its reservations,
// or x-shoal.gpus, which alone can write a share of one device. Written in two places
// they must agree.
func (c *converter) gpus(extension any) {
	need := &c.task.Needs.GPUMilli
	*need = c.requests("gpus", c.s.Gpus, true)
	if d := c.s.Deploy; d != nil && d.Resources.Reservations != nil {
		const key = "deploy.resources.reservations.devices"
		c.prefer(need, c.requests(key, d.Resources.Reservations.Devices, false), key, "gpus")
	}
	if extension == nil {
		return
	}
	path := c.under("x-shoal.gpus")
	n, err := strconv.ParseFloat(c.word(path, extension), 64)
	switch {
	case err != nil || !(n >= 0 && n <= job.MaxGPUs):
		c.refuse(path, "%v is no number of GPUs; write a share of one such as 0.5, or up to %d whole ones", extension, job.MaxGPUs)
		return
	case n > 1 && n != math.Trunc(n):
		c.refuse(path, "%v is neither a share of one GPU nor so many whole ones; write %v or %v", extension, math.Trunc(n), math.Ceil(n))
		return
	case n > 0 && n < 0.001:
		c.refuse(path, "%v is less than a thousandth of a GPU; write 0.001 or more", extension)
		return
	}
	milli := int64(math.Round(n * job.WholeGPU))
	if *need != 0 && *need != milli {
		c.refuse(path, "contradicts the %d devices that the service asks for in the words of Compose; remove one of the two", *need/job.WholeGPU)
	}
	*need = milli
}

// allDevices is what Compose makes of "all".
const allDevices = -1

// requests sums the GPUs that requests for devices are for; under gpus each is.
func (c *converter) requests(key string, requests []types.DeviceRequest, areGPUs bool) (milli int64) {
	for i, r := range requests {
		path := c.under(key) + index(i)
		switch {
		case !areGPUs && !slices.Contains(r.Capabilities, "gpu"):
			c.refuse(path+".capabilities", "must have gpu: other devices are not reserved")
		case r.Driver != "" && r.Driver != "nvidia":
			c.refuse(path+".driver", "%q is not supported; write nvidia, or leave it out", r.Driver)
		case len(r.IDs) > 0:
			c.refuse(path+".device_ids", "is not supported: which device it is, the peer that takes the slot decides; write count")
		case len(r.Options) > 0:
			c.refuse(path+".options", "is not supported; remove it")
		case r.Count < allDevices || r.Count < 0 && c.substituted(path+".count") == "-1":
			c.refuse(path+".count", "%d is no number of GPUs; write one such as 1", int64(r.Count))
		case r.Count < 0:
			c.refuse(path+".count", "all is not supported, as no sale could say how many that is; write a number such as 1")
		case r.Count > job.MaxGPUs:
			c.refuse(path+".count", "%d is more than %d GPUs", int64(r.Count), job.MaxGPUs)
		case r.Count == 0:
			c.refuse(path+".count", "is missing or 0; write how many GPUs a copy needs, such as 1")
		default:
			milli += int64(r.Count) * job.WholeGPU
		}
	}
	return milli
}
