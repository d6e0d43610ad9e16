DELETE FROM projections WHERE projection = 'seller-quality'
