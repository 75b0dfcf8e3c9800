module sarsen

go 1.24
