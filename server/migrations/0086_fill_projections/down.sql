DELETE FROM projections WHERE projection = 'stock'
