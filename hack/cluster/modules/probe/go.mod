module aos.example/cluster/probe

go 1.26.0
