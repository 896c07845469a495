package sim

import (
	"math"
	"math/rand/v2"
	"time"
)

// What jobs need and how long they take, where neither the scenario nor a trace
// says it. All three are right-skewed: most jobs are small and short, and the few
// that are not make up most of the load (Reiss et al., "Heterogeneity and Dynamicity
// of Clouds at Scale", SoCC 2012; Tirmazi et al., "Borg: the Next Generation",
// EuroSys 2020).
//
//   - How long a batch job runs, and what memory a copy needs, are the fits that
//     Shahrad et al., "Serverless in the Wild", USENIX ATC 2020, §3, give for the
//     functions of a public cloud: log-normal with a log mean of -0.38 and σ 2.36, in
//     seconds (median 0.7 s, one in a hundred over 2.7 min); Burr with c = 11.652,
//     k = 0.221, λ = 107.083, in MB (median 140, one in a hundred over 650). Of what
//     is published these are nearest to devices of some gigabytes.
//   - For CPU they give none. We take a log-normal with median 200m and σ 1, which is
//     our choice: one in a hundred asks for 2 cores.
//
// Each is cut off where a small swarm has no use for it. Draws are rounded to
// milliseconds, MiB and thousandths of a core, so that the last bit of a float,
// which may differ between processors, does not reach the plan.

func logNormal(r *rand.Rand, mu, sigma float64) float64 {
	return math.Exp(mu + float64(sigma*r.NormFloat64()))
}

// burr draws from the Burr XII distribution by its inverse.
func burr(r *rand.Rand, c, k, lambda float64) float64 {
	return lambda * math.Pow(math.Pow(1-r.Float64(), -1/k)-1, 1/c)
}

// drawLasts is how long a batch job runs: 100 ms to 1 h.
func drawLasts(r *rand.Rand) time.Duration {
	s := min(max(logNormal(r, -0.38, 2.36), 0.1), 3600)
	return time.Duration(math.Round(s*1000)) * time.Millisecond
}

// drawMem is what memory a copy needs: 16 MiB to 4 GiB.
func drawMem(r *rand.Rand) int64 {
	return int64(math.Round(min(max(burr(r, 11.652, 0.221, 107.083), 16), 4096))) << 20
}

// drawCPU is what CPU a copy needs, in thousandths of a core: 10m to 4.
func drawCPU(r *rand.Rand) int64 {
	return int64(math.Round(min(max(logNormal(r, math.Log(200), 1), 10), 4000)))
}

// exponential is the time until the next event of a Poisson process: at least 1 ms,
// and at most maxRun, also for a rate of 0.
func exponential(r *rand.Rand, perSecond float64) time.Duration {
	ms := r.ExpFloat64() / perSecond * 1000
	if !(ms < float64(maxRun/time.Millisecond)) {
		return maxRun
	}
	return time.Duration(max(int64(math.Round(ms)), 1)) * time.Millisecond
}

// draw returns an amount of the pair, every one equally likely.
func (p pair) draw(r *rand.Rand) int64 {
	if p.to <= p.from {
		return p.from
	}
	return p.from + r.Int64N(p.to-p.from+1)
}
